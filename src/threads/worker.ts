/** What a worker runs. scripts/build.mjs makes it one self-contained script, which src/generated/worker.ts holds as text. */

import { Program } from "../kernels/program.js";
import { scalarKernels } from "../kernels/scalar.js";
import { type KernelExports, kernelsFrom } from "../kernels/table.js";
import type { Assignment } from "./host.js";
import {
  DONE,
  FAILED,
  headerLength,
  INSIDE,
  JOB,
  LEFT,
  LONGEST_MESSAGE,
  MESSAGE,
  OPEN,
  POST,
  SIZE,
  STARTED,
  watch,
  workThrough,
} from "./protocol.js";

interface Port {
  postMessage(message: unknown): void;
}

function serve({ memory, shared, threads, me, room, module }: Assignment, port: Port): void {
  const imports = { env: { memory } };
  const kernels =
    module === undefined
      ? scalarKernels(memory)
      : kernelsFrom("simd", new WebAssembly.Instance(new WebAssembly.Module(module), imports).exports as KernelExports);
  const words = headerLength(threads);
  const header = new Int32Array(shared, 0, words);
  const program = new Program(shared, words, room);
  Atomics.add(header, STARTED, 1);
  for (let job = 0; ; ) {
    watch(header, JOB, job);
    // Read before the job is done: one that is published meanwhile must not be slept through.
    job = Atomics.load(header, JOB);
    Atomics.add(header, INSIDE, 1);
    try {
      const chunks = Atomics.load(header, OPEN);
      if (chunks > 0) {
        // Another thread's growth shows in `memory.buffer` only once this one has grown it too; a module sees it by itself.
        if (module === undefined) memory.grow(0);
        const size = Atomics.load(header, SIZE);
        workThrough(header, me, chunks, (take, end) => program.runChunks(kernels, size, take, end));
        Atomics.add(header, DONE, 1);
      }
    } catch (error) {
      const message = new TextEncoder().encode(String(error)).subarray(0, LONGEST_MESSAGE);
      new Uint8Array(shared, 4 * MESSAGE).set(message);
      Atomics.store(header, FAILED, Math.max(1, message.length));
      throw error;
    } finally {
      Atomics.sub(header, INSIDE, 1);
      Atomics.add(header, LEFT, 1);
      Atomics.notify(header, LEFT);
      if (Atomics.load(header, POST) !== 0) port.postMessage(LEFT);
    }
  }
}

const { parentPort, workerData } = globalThis.process?.getBuiltinModule?.("node:worker_threads") ?? {};
if (parentPort) serve(workerData, parentPort);
else addEventListener("message", ({ data }) => serve(data, globalThis), { once: true });

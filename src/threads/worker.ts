/** What a worker runs. scripts/build.mjs makes it one self-contained script, which src/generated/worker.ts holds as text. */

import { Calls } from "../kernels/calls.js";
import { scalarKernels } from "../kernels/scalar.js";
import { scalarHalfKernels } from "../kernels/scalarHalf.js";
import { type KernelExports, kernelsFrom } from "../kernels/table.js";
import { refresh } from "../memory/shared.js";
import {
  controlLength,
  DONE,
  INSIDE,
  JOB,
  LEFT,
  OPEN,
  POST,
  SIZE,
  STARTED,
  waitFor,
  workThrough,
  writeFailure,
} from "./protocol.js";
import type { Assignment } from "./spawn.js";

/** Set by the build, which makes two scripts of this: whether TypeScript's kernels know formats of 16 bits. */
declare const HALF: boolean;

interface Host {
  postMessage(message: unknown): void;
}

function serve({ memory, shared, threads, me, room, module }: Assignment, host: Host): void {
  const imports = { env: { memory } };
  const kernels =
    module === undefined
      ? HALF
        ? scalarHalfKernels(memory, scalarKernels)
        : scalarKernels(memory)
      : kernelsFrom("simd", new WebAssembly.Instance(compiled(module), imports).exports as KernelExports);
  const length = controlLength(threads);
  const control = new Int32Array(shared, 0, length);
  const calls = new Calls(shared, length, room);
  host.postMessage(STARTED);
  for (let job = 0; ; ) {
    waitFor(control, JOB, job);
    // Before the job is done: the next one may be opened meanwhile.
    job = Atomics.load(control, JOB);
    Atomics.add(control, INSIDE, 1);
    try {
      const chunks = Atomics.load(control, OPEN);
      if (chunks > 0) {
        // The TypeScript kernels use `memory.buffer`; a module sees another thread's growth by itself.
        if (module === undefined) refresh(memory);
        const size = Atomics.load(control, SIZE);
        workThrough(control, me, chunks, (take, end) => calls.runChunks(kernels, size, take, end));
        Atomics.add(control, DONE, 1);
      }
    } catch (error) {
      writeFailure(control, error);
      throw error;
    } finally {
      Atomics.sub(control, INSIDE, 1);
      Atomics.add(control, LEFT, 1);
      Atomics.notify(control, LEFT);
      if (Atomics.load(control, POST) !== 0) host.postMessage(LEFT);
    }
  }
}

function compiled(module: NonNullable<Assignment["module"]>): WebAssembly.Module {
  return "byteLength" in module ? new WebAssembly.Module(module) : module;
}

// Node gives `require` to a worker's script that is text. A web worker has neither.
const threads = "node:worker_threads";
const { parentPort, workerData } =
  globalThis.process?.getBuiltinModule?.(threads) ?? globalThis.require?.(threads) ?? {};
if (parentPort) serve(workerData, parentPort);
else addEventListener("message", ({ data }) => serve(data, globalThis), { once: true });

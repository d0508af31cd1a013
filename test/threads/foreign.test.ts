/** On several threads in a host's shared memory: odd places, guards around them, a memory that others make larger. */
import { Worker } from "node:worker_threads";
import { AdamW } from "fused-adam";
import { describe, expect, it } from "vitest";
import { expectSameBits } from "../support/bits.js";
import { dyadic } from "../support/model.js";
import { CALLS, call, SMALL } from "./support.js";

const REGIONS = ["param", "grad", "expAvg", "expAvgSq", "maxExpAvgSq"] as const;
type Pointers = Record<"length" | (typeof REGIONS)[number], number>;

const pattern = (word: number) => Math.imul(word + 1, 0x9e3779b1) >>> 0;

/** A shared memory full of a pattern, with regions 4-byte aligned at most, a few words apart. */
class Host {
  readonly memory: WebAssembly.Memory;
  readonly params: Record<string, Pointers> = {};
  readonly #covered: Uint8Array;
  #top = 1028;

  constructor(readonly pages: number) {
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: 4 * pages, shared: true });
    const words = new Uint32Array(this.memory.buffer);
    this.#covered = new Uint8Array(words.length);
    for (let i = 0; i < words.length; i++) words[i] = pattern(i);
  }

  place(name: string, values: Float32Array, top = this.#top): Pointers {
    const { length } = values;
    const pointers = { length } as Pointers;
    for (const [i, region] of REGIONS.entries()) {
      pointers[region] = top;
      this.#covered.fill(1, top / 4, top / 4 + length);
      top += 4 * (length + 1 + 2 * i);
    }
    this.#top = top;
    this.at(pointers, "param").set(values);
    this.at(pointers, "grad").fill(0);
    this.params[name] = pointers;
    return pointers;
  }

  at(pointers: Pointers, region: (typeof REGIONS)[number]): Float32Array {
    return new Float32Array(this.memory.buffer, pointers[region], pointers.length);
  }

  /** @throws Error if a word outside all regions is not what the host left there */
  expectGuards(): void {
    const words = new Uint32Array(this.memory.buffer);
    const at = this.#covered.findIndex((covered, i) => covered === 0 && words[i] !== pattern(i));
    if (at >= 0) throw new Error(`the word at ${4 * at} is ${words[at]}, expected ${pattern(at)}`);
  }
}

/** Grows a memory on a thread of its own, as a host's might, while this one waits. */
function growElsewhere(memory: WebAssembly.Memory, pages: number): Worker {
  const done = new Int32Array(new SharedArrayBuffer(4));
  const script = `const { memory, pages, done } = require("node:worker_threads").workerData;
    memory.grow(pages);
    Atomics.store(done, 0, 1);
    Atomics.notify(done, 0);`;
  const worker = new Worker(script, { eval: true, workerData: { memory, pages, done } });
  Atomics.wait(done, 0, 0, 20_000);
  return worker;
}

describe.each(["simd", "scalar"] as const)("%s", (kernel) => {
  it("on 3 threads as in memory of its own on one, guards unchanged, while this thread and another grow the memory", async () => {
    const values: Record<string, Float32Array> = { a: dyadic(SMALL + 17, 1), b: dyadic(1, 2), c: dyadic(30003, 3) };
    const host = new Host(64);
    for (const [name, data] of Object.entries(values)) host.place(name, data);
    const options = { kernel, amsgrad: true, weightDecay: 0.125 } as const;
    const { memory } = host;
    const optimizer = AdamW.createSync({ ...host.params }, { ...options, memory, threads: 3 });
    const twin = AdamW.createSync(values, options);
    expect(optimizer.threads).toBe(3);
    for (let n = 0; n < 9; n++) {
      if (n === 3) memory.grow(7);
      if (n === 6) {
        await growElsewhere(memory, 64).terminate();
        // Where there was nothing when the optimizer was made.
        const late = dyadic(SMALL, 4);
        const pointers = host.place("late", late, 72 * 65536 + 4);
        optimizer.addParamGroup({ params: { late: pointers } });
        twin.addParamGroup({ params: { late } });
      }
      for (const [i, name] of twin.names.entries()) {
        const grad = dyadic(twin.grad(name).length, 10 * n + i);
        host.at(host.params[name]!, "grad").set(grad);
        twin.grad(name).set(grad);
      }
      const asked = { clipNorm: 50, zeroGrad: n % 3 === 2 };
      expect(await call(CALLS[n % 2]!, optimizer, asked)).toEqual(twin.step(asked));
      const { state } = twin.stateDict();
      for (const name of twin.names) {
        const pointers = host.params[name]!;
        const when = `step ${n + 1}, ${name}`;
        expectSameBits(`${when}, param`, host.at(pointers, "param"), twin.param(name));
        expectSameBits(`${when}, grad`, host.at(pointers, "grad"), twin.grad(name));
        expectSameBits(`${when}, expAvg`, host.at(pointers, "expAvg"), state[name]!.exp_avg);
        expectSameBits(`${when}, expAvgSq`, host.at(pointers, "expAvgSq"), state[name]!.exp_avg_sq);
        expectSameBits(`${when}, maxExpAvgSq`, host.at(pointers, "maxExpAvgSq"), state[name]!.max_exp_avg_sq!);
      }
      host.expectGuards();
    }
    const end = new Uint8Array(memory.buffer).slice();
    optimizer.dispose();
    expect(Buffer.compare(new Uint8Array(memory.buffer), end)).toBe(0);
  });
});

/** Parameters that are added, and state that is saved and loaded, with threads. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AdamW, type ParamSet } from "fused-adam";
import { encodeCheckpoint, loadCheckpoint } from "fused-adam/checkpoint";
import { loadCheckpointFile, saveCheckpointFile } from "fused-adam/node";
import { describe, expect, it } from "vitest";
import { expectSameBits } from "../support/bits.js";
import { dyadic } from "../support/model.js";
import { CALLS, call, expectSameRun, fillAll, large, SMALL } from "./support.js";
import { Workers } from "./workers.js";

const KERNELS = ["simd", "scalar"] as const;

async function steps(all: AdamW[], from: number, count: number, when: string): Promise<void> {
  const [alone, ...others] = all as [AdamW, ...AdamW[]];
  for (let n = from; n < from + count; n++) {
    fillAll(all, n, dyadic);
    const expected = alone.step({ clipNorm: n });
    for (const optimizer of others) expect(await call(CALLS[n % 2]!, optimizer, { clipNorm: n })).toEqual(expected);
  }
  for (const optimizer of others) expectSameRun(optimizer, alone, when);
}

describe.each(KERNELS)("%s", (kernel) => {
  it("addParamGroup on 3 threads as on 1: memory that has room, that grows, more calls than before; old views stay", async () => {
    const workers = new Workers();
    const threaded = workers.spawn(() => AdamW.createSync(large(), { threads: 3, kernel }));
    const all = [AdamW.createSync(large(), { kernel }), threaded];
    await steps(all, 1, 3, "before");
    const many = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`m${i}`, dyadic(1 + (i % 9), i)]));
    const additions: [string, ParamSet, spawned: number][] = [
      ["a few elements", { few: dyadic(7, 1) }, 2],
      ["nearly twice the memory", { much: dyadic(SMALL + 20001, 2) }, 0],
      ["300 tensors", many, 2],
    ];
    for (const [what, params, spawned] of additions) {
      const names = threaded.names;
      const old = names.map((name) => threaded.param(name));
      const bytes = threaded.memory.buffer.byteLength;
      const renewed = new Workers();
      for (const optimizer of all) {
        renewed.spawn(() => optimizer.addParamGroup({ params, amsgrad: what === "300 tensors", lr: 0.25 }));
      }
      // In place of those whose program has become too small. Those that stay find the memory grown.
      expect(renewed.list.length, what).toBe(spawned);
      expect(threaded.threads).toBe(3);
      if (what === "nearly twice the memory") expect(threaded.memory.buffer.byteLength).toBeGreaterThan(bytes);
      names.forEach((name, i) => {
        expectSameBits(`${what}, ${name}`, threaded.param(name), old[i]!);
        old[i]![0] = 0.5;
        expect(threaded.param(name)[0]).toBe(0.5);
        all[0]!.param(name)[0] = 0.5;
      });
      await steps(all, 4, 3, what);
    }
    for (const optimizer of all) optimizer.dispose();
  });
});

it("the workers whose program became too small end", async () => {
  const workers = new Workers();
  const optimizer = workers.spawn(() => AdamW.createSync({ a: dyadic(SMALL, 1) }, { threads: 3 }));
  const exits = Promise.all(workers.list.map((worker) => new Promise((resolve) => worker.once("exit", resolve))));
  optimizer.addParamGroup({ params: { b: dyadic(SMALL, 2) } });
  await exits;
  optimizer.dispose();
});

it("state from 3 threads goes on on 1 and back, as dict, checkpoint and file, with the same bits", async () => {
  const folder = mkdtempSync(join(tmpdir(), "fused-adam-threads-"));
  const make = (threads: number) => AdamW.createSync(large(), { threads, amsgrad: true });
  const all = [make(1), make(3)] as [AdamW, AdamW];
  await steps(all, 1, 3, "before");
  const [alone, threaded] = all;
  const bytes = encodeCheckpoint(threaded, { params: true });
  expect(Buffer.compare(bytes, encodeCheckpoint(alone, { params: true }))).toBe(0);
  const dict = threaded.stateDict();
  const values = threaded.names.map((name) => threaded.param(name).slice());
  const path = join(folder, "file");
  await saveCheckpointFile(path, threaded, { params: true });
  await steps(all, 4, 3, "straight on");

  const loaders: ((optimizer: AdamW) => unknown)[] = [
    (optimizer) => loadCheckpoint(optimizer, bytes),
    (optimizer) => loadCheckpointFile(path, optimizer),
    (optimizer) => {
      optimizer.loadStateDict(dict);
      optimizer.names.forEach((name, i) => {
        optimizer.param(name).set(values[i]!);
      });
    },
  ];
  for (const load of loaders) {
    for (const threads of [1, 3]) {
      const resumed = make(threads);
      await load(resumed);
      for (let n = 4; n < 7; n++) {
        fillAll([resumed], n, dyadic);
        await call(CALLS[n % 2]!, resumed, { clipNorm: n });
      }
      expectSameRun(resumed, alone, `resumed on ${threads}`);
      resumed.dispose();
    }
  }
  for (const optimizer of all) optimizer.dispose();
  rmSync(folder, { recursive: true });
});

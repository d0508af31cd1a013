/** Hosts where there is no sharing: one thread and one warning, and nothing at all when nobody asked for threads. */
import { availableParallelism } from "node:os";
import { AdamW } from "fused-adam";
import { describe, expect, it } from "vitest";
import { fileUnless, noNodeOptions, notBuilt, on, unless } from "../support/host.js";
import { dyadic } from "../support/model.js";
import { SMALL } from "./support.js";
import { child } from "./workers.js";

fileUnless(notBuilt, noNodeOptions);

const COOP = /Cross-Origin-Opener-Policy.*Cross-Origin-Embedder-Policy/;

const CANNOT_REMOVE = on("bun") && "Bun's workers cannot be taken away";

/** As in a page, which does not load what package.json has for Node. */
const NO_NODE = `process.getBuiltinModule = undefined; globalThis.entry = "./dist/esm/index.js";`;

/** Host, what the warning says, and why it cannot be made here. */
const HOSTS: [string, string, RegExp, (string | false)?][] = [
  ["a page that is not isolated", "globalThis.crossOriginIsolated = false;", COOP],
  ["without SharedArrayBuffer", "delete globalThis.SharedArrayBuffer;", COOP],
  ["without Atomics", "delete globalThis.Atomics;", /no Atomics here/],
  ["without workers", NO_NODE, /no workers here/, CANNOT_REMOVE],
  [
    "where no worker can be made",
    `process.getBuiltinModule("worker_threads").Worker = class { constructor() { throw new Error("refused by the test"); } };`,
    /refused by the test/,
  ],
  [
    "where nothing can be shared with a worker",
    `${NO_NODE}
    globalThis.Worker = class { terminate() {} postMessage() { throw new DOMException("no clone", "DataCloneError"); } };
    URL.createObjectURL = () => "blob:none";`,
    /DataCloneError|no clone/,
  ],
];

/** Prints a line for each warning, then how many threads there are, then what a step on them gives. */
const SCRIPT = `
  const warnings = [];
  console.warn = (text) => warnings.push(text);
  const { AdamW } = await import(globalThis.entry ?? "fused-adam");
  await import("fused-adam/checkpoint");
  const length = ${SMALL + 1};
  const make = (threads) => AdamW.createSync({ w: { shape: [length] } }, { threads });
  const said = [];
  make(1);
  said.push(warnings.length);
  const all = [make(2), make(2), await AdamW.create({ w: { shape: [length] } }, { threads: 2 })];
  for (const optimizer of all) {
    optimizer.grad("w").fill(1);
    optimizer.step();
    await optimizer.stepAsync({ clipNorm: 1 });
  }
  const twin = make(1);
  twin.grad("w").fill(1);
  twin.step();
  twin.step({ clipNorm: 1 });
  const same = all.every((one) => one.param("w").every((x, i) => x === twin.param("w")[i]));
  console.log(JSON.stringify({ said, threads: all.map(({ threads }) => threads), same, warnings }));
`;

describe("threads: 2 is one thread and one warning, in 3 optimizers", () => {
  for (const [name, host, says, why] of HOSTS) {
    it.concurrent(name, unless(why), async () => {
      const { warnings, ...rest } = JSON.parse(await child(host + SCRIPT));
      expect(rest).toEqual({ said: [0], threads: [1, 1, 1], same: true });
      expect(warnings).toEqual([expect.stringMatching(says)]);
      expect(warnings[0]).toMatch(/^fused-adam: "threads": 2 asked for, steps run on one: /);
    });
  }

  it("but not in a Node without process.getBuiltinModule, as before 20.16: two threads, the same bits", async () => {
    const { warnings, ...rest } = JSON.parse(await child(`process.getBuiltinModule = undefined; ${SCRIPT}`));
    expect(rest).toEqual({ said: [0], threads: [2, 2, 2], same: true });
    expect(warnings).toEqual([]);
  });

  it("in the host's memory that is not shared", async () => {
    const script = `
      const warnings = [];
      console.warn = (text) => warnings.push(text);
      const { AdamW } = await import("fused-adam");
      const memory = new WebAssembly.Memory({ initial: 1 });
      const w = { length: 4, param: 1024, grad: 1040, expAvg: 1056, expAvgSq: 1072 };
      const all = [1, 2, "auto", 2].map((threads) => AdamW.createSync({ w }, { threads, memory }).threads);
      console.log(JSON.stringify([all, warnings]));`;
    const [threads, warnings] = JSON.parse(await child(script));
    expect(threads).toEqual([1, 1, 1, 1]);
    expect(warnings).toEqual([expect.stringContaining("options.memory is not shared")]);
    expect(warnings[0]).not.toMatch(COOP);
  });

  it("when workers cannot be had anew after one was lost between steps: the run goes on, and threads says 1", async () => {
    const script = `
      const warnings = [];
      console.warn = (text) => warnings.push(text);
      const { AdamW } = await import("fused-adam");
      const workers = [];
      process.on("worker", (worker) => workers.push(worker));
      const optimizer = AdamW.createSync({ w: { shape: [${SMALL}] } }, { threads: 3 });
      await optimizer.stepAsync();
      await workers[0].terminate();
      process.getBuiltinModule("worker_threads").Worker = class { constructor() { throw new Error("no more"); } };
      const result = [await optimizer.stepAsync(), optimizer.step()].map(({ step }) => step);
      console.log(JSON.stringify({ result, threads: optimizer.threads, warnings }));`;
    const warnings = [expect.stringMatching(/"threads": 3 asked for, steps run on one: Error: no more/)];
    expect(JSON.parse(await child(script))).toEqual({ result: [2, 3], threads: 1, warnings });
  });
});

describe('threads: "auto"', () => {
  it("is what the machine has, at most 8, from 65,536 elements on, and 1 below", async () => {
    const most = Math.min(8, availableParallelism());
    for (const [length, threads] of [
      [SMALL, most],
      [SMALL - 1, 1],
    ] as const) {
      const params = { a: dyadic(10, 1), b: { shape: [length - 10] } };
      const optimizer = AdamW.createSync(params, { threads: "auto" });
      expect(optimizer.threads).toBe(threads);
      expect(optimizer.memory.buffer instanceof SharedArrayBuffer).toBe(threads > 1);
      optimizer.dispose();
    }
    for (const [cores, threads] of [
      [1, 1],
      [3, 3],
      [64, 8],
    ]) {
      const script = `Object.defineProperty(globalThis, "navigator", { value: { hardwareConcurrency: ${cores} } });
        const { AdamW } = await import("fused-adam");
        const optimizer = AdamW.createSync({ w: { shape: [${SMALL}] } }, { threads: "auto" });
        console.log(optimizer.threads);
        optimizer.dispose();`;
      expect(await child(script), `${cores} cores`).toBe(String(threads));
    }
  });
});

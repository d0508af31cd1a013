/** Calls while a stepAsync runs, and the end of an optimizer while its workers are at it. */
import { AdamW } from "fused-adam";
import { encodeCheckpoint } from "fused-adam/checkpoint";
import { describe, expect, it } from "vitest";
import { caught, expectError, stateError } from "../support/api.js";
import { dyadic, type Optimizer } from "../support/model.js";
import { expectSameRun, fillAll, large, SMALL } from "./support.js";
import { Workers } from "./workers.js";

const busy = stateError("optimizer", "ERR_BUSY");
const disposed = stateError("optimizer", "ERR_DISPOSED");

const REFUSED: Record<string, (optimizer: Optimizer) => unknown> = {
  step: (optimizer) => optimizer.step(),
  stepAsync: (optimizer) => optimizer.stepAsync(),
  stateDict: (optimizer) => optimizer.stateDict(),
  loadStateDict: (optimizer) => optimizer.loadStateDict({ state: {}, param_groups: [] }),
  zeroGrad: (optimizer) => optimizer.zeroGrad(),
  setGrad: (optimizer) => optimizer.setGrad(optimizer.names[0]!, new Float32Array(1)),
  sumOfSquares: (optimizer) => optimizer.sumOfSquares(),
  addParamGroup: (optimizer) => optimizer.addParamGroup({ params: { late: dyadic(5, 1) } }),
  "assigning lr": (optimizer) => {
    optimizer.paramGroups[0]!.lr = 9;
  },
  encodeCheckpoint: (optimizer) => encodeCheckpoint(optimizer),
};

const SIZES = { small: () => ({ w: dyadic(100, 1) }), large };

describe.each(["small", "large"] as const)("a %s model", (size) => {
  it.each([1, 2])(
    "on %i threads: while stepAsync runs every change is ERR_BUSY, and its result is its own",
    async (threads) => {
      const workers = new Workers();
      const optimizer = workers.spawn(() => AdamW.createSync(SIZES[size](), { threads }));
      const twin = AdamW.createSync(SIZES[size]());
      for (let n = 0; n < 3; n++) {
        fillAll([optimizer, twin], n, dyadic);
        const holds = size === "large" && threads === 2 && n > 0;
        if (holds) workers.next("Pause");
        const step = optimizer.stepAsync({ clipNorm: 1, zeroGrad: n === 1 });
        if (holds) await workers.arrival();
        for (const [what, refused] of Object.entries(REFUSED)) {
          expectError(await caught(() => Promise.race([refused(optimizer), 0]), what), busy, what);
          // One microtask is all that a step on the caller takes.
          if (!holds) break;
        }
        workers.next("Work");
        expect(await step).toEqual(twin.step({ clipNorm: 1, zeroGrad: n === 1 }));
        expectSameRun(optimizer, twin, `step ${n + 1}`);
      }
      optimizer.dispose();
    },
  );

  it.each([1, 3])("on %i threads: what is refused at once, in the turn that began the step", (threads) => {
    const optimizer = AdamW.createSync(SIZES[size](), { threads });
    void optimizer.stepAsync().catch(() => {});
    for (const [what, refused] of Object.entries(REFUSED)) {
      if (what === "stepAsync") continue;
      expect(() => refused(optimizer), what).toThrow(/"optimizer": expected one that is idle/);
    }
    optimizer.dispose();
  });

  it.each([1, 3])("on %i threads: dispose() makes a stepAsync under way reject, once and for all", async (threads) => {
    const workers = new Workers();
    const optimizer = workers.spawn(() => AdamW.createSync(SIZES[size](), { threads }));
    const held = size === "large" && threads === 3;
    if (held) workers.next("Pause");
    const exits = workers.list.map((worker) => new Promise((resolve) => worker.once("exit", resolve)));
    const failing = caught(() => optimizer.stepAsync(), "the step");
    if (held) await workers.arrival(2);
    optimizer.dispose();
    optimizer.dispose();
    expectError(await failing, disposed);
    optimizer.dispose();
    for (const [what, refused] of Object.entries(REFUSED)) {
      expectError(await caught(() => refused(optimizer), what), disposed, what);
    }
    expect(optimizer.threads).toBe(threads);
    await Promise.all(exits);
  });
});

it("when dispose() has returned, nobody writes to the host's memory: 24 times in the middle of a step", async () => {
  const length = 4 * SMALL;
  const SENTINEL = 0x5eed5eed;
  const memory = new WebAssembly.Memory({ initial: (5 * 4 * length) / 65536, maximum: 1000, shared: true });
  const words = new Uint32Array(memory.buffer);
  const at = (region: number) => 4096 + 4 * length * region;
  let stopped = 0;
  for (let round = 0; round < 24; round++) {
    const workers = new Workers();
    const optimizer = workers.spawn(() =>
      AdamW.createSync(
        { w: { length, param: at(0), grad: at(1), expAvg: at(2), expAvgSq: at(3) } },
        { memory, threads: 2 + (round % 2), kernel: "scalar" },
      ),
    );
    words.fill(0);
    optimizer.grad("w").fill(1);
    const before = new Uint32Array(memory.buffer, at(2), length);
    // Eight chunks for each worker, 20 ms for each chunk: it is long before all is done that one has begun.
    workers.next("Plod");
    const failing = optimizer.stepAsync().then(
      () => undefined,
      (error: unknown) => error,
    );
    await workers.arrival();
    optimizer.dispose();
    stopped += before.includes(0) ? 1 : 0;
    words.fill(SENTINEL);
    // Where others have the processor, a step may be over before this thread looks: that is not the middle of one.
    const error = await failing;
    if (error !== undefined) expectError(error, disposed);
    const changed = words.findIndex((word) => word !== SENTINEL);
    expect(changed, `round ${round}: a word that changed`).toBe(-1);
  }
  // It was in the middle, and dispose() has not waited for the rest of the step.
  expect(stopped).toBeGreaterThan(0);
});

it("dispose() of an optimizer whose state was lost", async () => {
  const workers = new Workers();
  const optimizer = workers.spawn(() => AdamW.createSync(large(), { threads: 3 }));
  workers.next("Throw");
  expectError(await caught(() => optimizer.stepAsync()), stateError("threads", "ERR_WORKER"));
  optimizer.dispose();
  expectError(await caught(() => optimizer.step()), disposed);
});

it("an optimizer's memory is the caller's to read after dispose(), and holds no half step of the next one", async () => {
  const [first, second] = [AdamW.createSync(large(), { threads: 3 }), AdamW.createSync(large(), { threads: 3 })];
  const twin = AdamW.createSync(large());
  fillAll([first, second, twin], 1, dyadic);
  await Promise.all([first.stepAsync(), second.stepAsync()]);
  twin.step();
  const view = first.param("a");
  first.dispose();
  fillAll([second, twin], 2, dyadic);
  expect(await second.stepAsync()).toEqual(twin.step());
  expectSameRun(second, twin, "the other one");
  second.dispose();
  expect(view.length).toBe(SMALL + 4097);
});

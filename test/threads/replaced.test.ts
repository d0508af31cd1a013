/**
 * Workers that are lost while nobody writes to the model: between steps, before they have started, while the gradient norm is
 * summed. Nothing is lost with them: the step runs, with the bits of one thread, and the workers are replaced.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { AdamW, type StepOptions } from "fused-adam";
import { describe, expect, it, vi } from "vitest";
import { caught, expectError, stateError } from "../support/api.js";
import { fileUnless, on, unless } from "../support/host.js";
import { dyadic } from "../support/model.js";
import { CALLS, type Call, call, expectSameRun, fillAll, large, SMALL } from "./support.js";
import { child, pollsOf, Workers } from "./workers.js";

fileUnless(on("deno") && "the workers that it makes misbehave hang in Deno's node:worker_threads");

const THREADS = 3;
const worker = stateError("threads", "ERR_WORKER");

/** So many turns of the event loop, 100 ms apart or more: a pool counts 50 of them before it gives up a worker that does not start. */
async function polls(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await sleep(100);
}

/** An optimizer on threads, and one on one thread that takes the same steps. */
class Pair {
  readonly victim: AdamW;
  readonly twin = AdamW.createSync(large());
  #steps = 0;

  constructor(workers: Workers, starts = true) {
    this.victim = workers.spawn(() => AdamW.createSync(large(), { threads: THREADS }), starts);
  }

  /** Both take a step, which must come to the same. */
  async step(run: (victim: AdamW) => ReturnType<typeof call>, options: StepOptions = {}): Promise<void> {
    const { victim, twin } = this;
    const when = `step ${++this.#steps}`;
    fillAll([victim, twin], this.#steps, dyadic);
    expect(await run(victim), when).toEqual(twin.step(options));
    expectSameRun(victim, twin, when);
  }

  /** Two of each kind. */
  async steps(): Promise<void> {
    for (const how of [...CALLS, ...CALLS]) await this.step((victim) => call(how, victim));
  }

  dispose(): void {
    for (const optimizer of [this.victim, this.twin]) optimizer.dispose();
  }
}

describe.each(CALLS)("%s", (how) => {
  // A step blocks all others.
  const each = how === "step" ? it : it.concurrent;

  each.each([{}, { clipNorm: 1 }])(
    "with a worker terminated between steps: the step runs on new ones, %j",
    async (options) => {
      const [workers, renewed] = [new Workers(), new Workers()];
      const pair = new Pair(workers);
      await pair.steps();
      await workers.list[0]!.terminate();
      await pair.step((victim) => renewed.spawn(() => call(how, victim, options)), options);
      expect([pair.victim.threads, renewed.list.length]).toEqual([THREADS, THREADS - 1]);
      await pair.steps();
      pair.dispose();
    },
  );

  each.each(["Throw", "Exit", "Hang"] as const)(
    "with a worker that does this while the norm is summed, %s: the step runs, within 100 polls",
    async (deed) => {
      const workers = new Workers();
      const pair = new Pair(workers);
      await pair.steps();
      workers.next(deed);
      const options = { clipNorm: 1 };
      expect(await pollsOf(() => pair.step((victim) => call(how, victim, options), options))).toBeLessThan(100);
      expect(workers.arrived).toBeGreaterThan(0);
      expect(pair.victim.threads).toBe(THREADS);
      await pair.steps();
      pair.dispose();
    },
  );

  each("with workers lost twice in a step: ERR_WORKER, but nothing else, and the next step runs", async () => {
    const [workers, renewed] = [new Workers(), new Workers()];
    const pair = new Pair(workers);
    await pair.steps();
    const state = pair.victim.stateDict();
    await workers.list[1]!.terminate();
    renewed.next("Throw");
    const error = await caught(() => renewed.spawn(() => call(how, pair.victim, { clipNorm: 1 })), "the step");
    expectError(error, worker);
    expect(String(error)).toContain("a deed of the test's");
    expect(pair.victim.stateDict()).toEqual(state);
    expectSameRun(pair.victim, pair.twin, "after the error");
    await pair.steps();
    expect(pair.victim.threads).toBe(THREADS);
    pair.dispose();
  });

  each("with workers that have not started after 7 s: the step runs, and they are replaced", async () => {
    const [workers, renewed] = [new Workers(), new Workers()];
    const pair = new Pair(workers, false);
    await polls(70);
    await pair.step((victim) => renewed.spawn(() => call(how, victim)));
    expect([pair.victim.threads, renewed.list.length]).toEqual([THREADS, THREADS - 1]);
    await pair.steps();
    pair.dispose();
  });
});

it("sumOfSquares with a worker terminated before it, and with one that throws in it: the sum of one thread", async () => {
  const workers = new Workers();
  const pair = new Pair(workers);
  await pair.steps();
  await workers.list[0]!.terminate();
  const renewed = new Workers();
  renewed.next("Throw");
  const expected = pair.twin.sumOfSquares();
  expect(renewed.spawn(() => pair.victim.sumOfSquares())).toBe(expected);
  expect(renewed.arrived).toBeGreaterThan(0);
  await pair.steps();
  pair.dispose();
});

it("stepAsync with a worker terminated as its update begins, none of it taken: the caller does the rest, 10 times", async () => {
  for (let round = 0; round < 10; round++) {
    const workers = new Workers();
    const pair = new Pair(workers);
    await pair.steps();
    // So that they are asleep.
    await sleep(50);
    const ends = workers.list.map((one) => one.terminate());
    await pair.step((victim) => victim.stepAsync());
    await Promise.all(ends);
    await pair.steps();
    pair.dispose();
  }
});

it("workers terminated at 40 moments of 400 steps: what fails has lost a worker in its update, all else is as on one thread", async () => {
  const all: { terminate(): unknown }[] = [];
  const onWorker = (one: (typeof all)[number]) => void all.push(one);
  process.on("worker", onWorker);
  const pair = new Pair(new Workers());
  const { victim, twin } = pair;
  let kills = 0;
  let losses = 0;
  for (let n = 0; n < 400; n++) {
    fillAll([victim, twin], n, dyadic);
    const kept = { state: victim.stateDict(), params: victim.names.map((name) => victim.param(name).slice()) };
    const options = n % 3 === 0 ? { clipNorm: 1 } : {};
    const step = call(n % 2 ? "stepAsync" : "step", victim, options).catch((error: unknown) => error);
    if (n % 10 === 5) {
      // Before, in or after a stepAsync, as it happens.
      for (let turns = n % 7; turns > 0; turns--) await Promise.resolve();
      all.at(-1)!.terminate();
      kills++;
    }
    const result = await step;
    if (result instanceof Error) {
      expectError(result, worker);
      expectError(await caught(() => victim.stateDict()), stateError("optimizer", "ERR_STATE_LOST"));
      losses++;
      victim.names.forEach((name, i) => {
        victim.param(name).set(kept.params[i]!);
      });
      victim.loadStateDict(kept.state);
      expect(await victim.stepAsync(options)).toEqual(twin.step(options));
    } else expect(result).toEqual(twin.step(options));
    if (n % 10 === 6) expectSameRun(victim, twin, `step ${n + 1}`);
  }
  process.off("worker", onWorker);
  expect(kills).toBe(40);
  expect(losses).toBeLessThan(kills / 2);
  pair.dispose();
});

describe("workers that cannot start", () => {
  it("twice in a row, as they take more than 5 s: stepAsync runs on one thread, after one warning", async () => {
    const [workers, renewed] = [new Workers(), new Workers()];
    const pair = new Pair(workers, false);
    const warnings: string[] = [];
    const spy = vi.spyOn(console, "warn").mockImplementation((text) => void warnings.push(String(text)));
    await polls(60);
    await pair.step((victim) => renewed.spawn(() => victim.stepAsync(), false));
    expect([pair.victim.threads, renewed.list.length]).toEqual([1, THREADS - 1]);
    spy.mockRestore();
    expect(warnings).toEqual([expect.stringMatching(/"threads": 3 asked for, .*2 workers that did not start/)]);
    await pair.steps();
    pair.dispose();
  });

  const SCRIPT = `
    import { closeSync, openSync } from "node:fs";
    const warnings = [];
    console.warn = (text) => warnings.push(text);
    const { AdamW } = await import("fused-adam");
    const make = (threads) => AdamW.createSync({ w: { shape: [${SMALL}] } }, { threads });
    const open = [];
    const exhaust = () => { try { for (;;) open.push(openSync("/dev/null")); } catch ({ code }) { if (code !== "EMFILE") throw code; } };
    const release = () => { while (open.length > 0) closeSync(open.pop()); };
    const ends = [];
    process.on("worker", (worker) => ends.push(new Promise((resolve) => worker.once("exit", resolve))));
    // Until the workers that cannot start have ended, which do not keep the process. It hears of one a moment after it was made.
    const turn = async () => {
      const timer = setInterval(() => {}, 1000);
      await new Promise(setImmediate);
      await Promise.all(ends);
      clearInterval(timer);
    };
    make(1).step();
    exhaust();
    const optimizer = make(3);
    await turn();`;

  const STEPS = [
    ["step", "optimizer.step()"],
    ["stepAsync", "await optimizer.stepAsync()"],
  ];

  const cannot = unless(on("bun") && "Bun ends itself where there are so few");

  it.concurrent.each(STEPS)(
    "for want of file descriptors, in %s: one thread after one warning",
    cannot,
    async (_, step) => {
      const script = `${SCRIPT}
      const steps = [];
      for (let i = 0; i < 3; i++) { steps.push((${step}).step); await turn(); }
      release();
      optimizer.stateDict();
      console.log(JSON.stringify([steps, optimizer.threads, warnings.length, warnings[0]]));`;
      const [steps, threads, count, warning] = JSON.parse(await child(script, [], undefined, 64));
      expect([steps, threads, count]).toEqual([[1, 2, 3], 1, 1]);
      expect(warning).toMatch(/"threads": 3 asked for, steps run on one: a worker that threw .*EMFILE/);
    },
  );

  it.concurrent.each(STEPS)(
    "for want of file descriptors that are there again for %s: new ones",
    cannot,
    async (_, step) => {
      const script = `${SCRIPT}
      release();
      const first = (${step}).step;
      const second = (await optimizer.stepAsync()).step;
      console.log(JSON.stringify([first, second, optimizer.threads, warnings]));`;
      expect(JSON.parse(await child(script, [], undefined, 64))).toEqual([1, 2, 3, []]);
    },
  );
});

it("a model that is too small for its workers has none, and gets them when it grows", async () => {
  const [workers, grown] = [new Workers(), new Workers()];
  const params = { a: dyadic(SMALL - 1, 1) };
  const optimizer = workers.spawn(() => AdamW.createSync(params, { threads: THREADS }));
  const twin = AdamW.createSync(params);
  const step = async (how: Call) => {
    fillAll([optimizer, twin], 1, dyadic);
    expect(await call(how, optimizer, { clipNorm: 1 })).toEqual(twin.step({ clipNorm: 1 }));
    expectSameRun(optimizer, twin, how);
  };
  for (const how of CALLS) await step(how);
  expect([workers.list.length, optimizer.threads]).toEqual([0, THREADS]);
  const group = { params: { b: dyadic(1, 2) } };
  grown.spawn(() => optimizer.addParamGroup(group));
  twin.addParamGroup(group);
  expect(grown.list.length).toBe(THREADS - 1);
  for (const how of CALLS) await step(how);
  grown.next("Pause");
  const held = optimizer.stepAsync();
  await grown.arrival(THREADS - 1);
  grown.next("Work");
  await held;
  optimizer.dispose();
});

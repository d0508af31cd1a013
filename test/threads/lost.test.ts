/**
 * Workers that throw, end or hang in the middle of an update. The step fails within 100 polls (50 without a sign of life: 5 s where
 * nobody else needs the machine), counts nothing, and what is half written is not given out. After the state is loaded the run goes on
 * as if nothing had happened.
 */
import { mkdtempSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { AdamW } from "fused-adam";
import { encodeCheckpoint, loadCheckpoint } from "fused-adam/checkpoint";
import { loadCheckpointFile, saveCheckpointFile } from "fused-adam/node";
import { describe, expect, it } from "vitest";
import { caught, expectError, stateError } from "../support/api.js";
import { fileUnless, on } from "../support/host.js";
import { dyadic } from "../support/model.js";
import { scratch } from "../support/scratch.js";
import { CALLS, type Call, call, expectSameRun, fillAll, large } from "./support.js";
import { pollsOf, Workers } from "./workers.js";

fileUnless(on("deno") && "the workers that it makes misbehave hang in Deno's node:worker_threads");

const THREADS = 3;
const worker = stateError("threads", "ERR_WORKER");
const lost = stateError("optimizer", "ERR_STATE_LOST");

const folder = scratch();

interface Way {
  /** Where the error's message says why. */
  readonly says: RegExp;
  /** Before the call. */
  readonly before: (workers: Workers) => unknown;
  /** While `stepAsync` runs. */
  readonly during?: (workers: Workers) => unknown;
}

/** What can go wrong in either call. */
const BOTH: Record<string, Way> = {
  "that throws": { says: /threw RangeError: a deed of the test's/, before: (workers) => workers.next("Throw") },
  "that hangs": { says: /workers that did nothing for 5000 ms/, before: (workers) => workers.next("Hang") },
};
const ASYNC: Record<string, Way> = {
  "that ends itself": { says: /ended with code 3/, before: (workers) => workers.next("Exit") },
  "terminated with a chunk in hand": {
    says: /ended with code 1/,
    before: (workers) => workers.next("Pause"),
    during: async (workers) => {
      await workers.arrival(2);
      await workers.list[0]!.terminate();
    },
  },
};
const SYNC: Record<string, Way> = {
  // Its host is in `step`, and does not hear of it.
  "that ends itself": { says: /workers that did nothing for 5000 ms/, before: (workers) => workers.next("Exit") },
};

/** Ways to go on: what to keep, and how to load it. Parameters are part of two of them. */
const RECOVERIES = {
  dict: async (optimizer: AdamW) => {
    const state = optimizer.stateDict();
    const params = optimizer.names.map((name) => optimizer.param(name).slice());
    return async () => {
      optimizer.names.forEach((name, i) => {
        optimizer.param(name).set(params[i]!);
      });
      optimizer.loadStateDict(state);
    };
  },
  checkpoint: async (optimizer: AdamW) => {
    const bytes = encodeCheckpoint(optimizer, { params: true });
    return async () => loadCheckpoint(optimizer, bytes);
  },
  file: async (optimizer: AdamW) => {
    const path = join(mkdtempSync(join(folder, "file-")), "kept");
    await saveCheckpointFile(path, optimizer, { params: true });
    return () => loadCheckpointFile(path, optimizer);
  },
};

async function loses(how: Call, way: Way, recovery: keyof typeof RECOVERIES): Promise<void> {
  const workers = new Workers();
  const victim = workers.spawn(() => AdamW.createSync(large(), { threads: THREADS }));
  const twin = AdamW.createSync(large());
  const both = [victim, twin];
  for (let n = 0; n < 2; n++) {
    fillAll(both, n, dyadic);
    twin.step();
    await call(CALLS[n]!, victim);
  }
  const recover = await RECOVERIES[recovery](victim);
  fillAll(both, 2, dyadic);
  await way.before(workers);

  let error: unknown;
  const polls = await pollsOf(async () => {
    const failing = caught(() => call(how, victim), "the step");
    await way.during?.(workers);
    error = await failing;
  });
  expect(polls).toBeLessThan(100);
  expectError(error, worker);
  expect(String(error)).toMatch(way.says);
  expect(victim.steps).toBe(2);

  const path = join(mkdtempSync(join(folder, "refused-")), "file");
  for (const again of [
    () => victim.step(),
    () => victim.stepAsync(),
    () => victim.step({ skip: victim.names }),
    () => victim.stateDict(),
    () => victim.sumOfSquares(),
    () => victim.loadStateDict(victim.stateDict()),
    () => encodeCheckpoint(victim),
    () => saveCheckpointFile(path, victim),
  ]) {
    expectError(await caught(again, String(again)), lost);
  }
  expect(readdirSync(join(path, ".."))).toEqual([]);
  expect(victim.steps).toBe(2);
  // What does not fit does not make it whole.
  await caught(() => victim.loadStateDict({ state: {}, param_groups: [] }), "loading nothing");
  expectError(await caught(() => victim.step()), lost);

  await recover();
  const renewed = new Workers();
  for (let n = 2; n < 6; n++) {
    fillAll(both, n, dyadic);
    const options = { clipNorm: n, zeroGrad: n % 2 === 1 };
    const result = n === 2 ? renewed.spawn(() => call(how, victim, options)) : call(CALLS[n % 2]!, victim, options);
    expect(await result).toEqual(twin.step(options));
    expectSameRun(victim, twin, `step ${n + 1}`);
  }
  // In place of the old ones, which are gone, whatever they were at.
  expect([victim.threads, renewed.list.length]).toEqual([THREADS, THREADS - 1]);
  for (const old of workers.list) if (old.threadId !== -1) await new Promise((resolve) => old.once("exit", resolve));
  // They do their part.
  renewed.next("Pause");
  const step = victim.stepAsync();
  await renewed.arrival(THREADS - 1);
  renewed.next("Work");
  await step;
  for (const optimizer of both) optimizer.dispose();
}

const recoveries = Object.keys(RECOVERIES) as (keyof typeof RECOVERIES)[];

type Row = readonly [Call, string, Way, keyof typeof RECOVERIES];
const rows = (how: Call, ways: Record<string, Way>): Row[] =>
  Object.entries(ways).map(([name, way], i) => [how, name, way, recoveries[i % recoveries.length]!]);

describe("a worker lost in the middle of an update", () => {
  it.concurrent.each(rows("stepAsync", { ...BOTH, ...ASYNC }))(
    "%s with one %s fails within 100 polls, and goes on once loaded",
    async (how, _, way, recovery) => {
      await loses(how, way, recovery);
    },
  );

  it.each(rows("step", { ...SYNC, ...BOTH }))(
    "%s with one %s fails within 100 polls, and goes on once loaded",
    async (how, _, way, recovery) => {
      await loses(how, way, recovery);
    },
  );
});

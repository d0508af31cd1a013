/** Shards as bytes, and as files: saved by so many ranks, loaded by any other number of them. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AdamW } from "fused-adam";
import { completeShards, loadShardFiles, saveShards } from "fused-adam/node";
import { encodeShard, loadShards } from "fused-adam/shards";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Optimizer } from "../support/model.js";
import { CASES, expectSame, LARGE, ranksOf, train, wholeOf } from "./support.js";

const run = "run of the test";
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "fused-adam-shards-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** From all of these to all of those. */
type Move = (from: readonly Optimizer[], to: readonly Optimizer[]) => Promise<void>;

const MOVES: Record<string, Move> = {
  async bytes(from, to) {
    const shards = from.map((optimizer, rank) => encodeShard(optimizer, { rank, ranks: from.length, run }));
    const all = {
      optimizer: shards.map(({ optimizer }) => optimizer),
      model: shards.map(({ model }) => model!).reverse(),
    };
    for (const optimizer of to) {
      const report = loadShards(optimizer, all);
      expect(report).toEqual({ loaded: optimizer.names, missing: [], unexpected: [], mismatched: [], params: true });
    }
  },
  async files(from, to) {
    const ranks = from.length;
    await Promise.all(from.map((optimizer, rank) => saveShards(folder, optimizer, { rank, ranks, run })));
    await completeShards(folder);
    for (const optimizer of to) {
      const report = await loadShardFiles(folder, optimizer);
      expect(report).toEqual({ loaded: optimizer.names, missing: [], unexpected: [], mismatched: [], params: true });
    }
  },
};

describe.each(Object.keys(MOVES))("as %s", (kind) => {
  const move = MOVES[kind]!;
  it.each(Object.entries(CASES))(
    "2, 3, 1 and 5 ranks after each other have every bit of one process: %s",
    async (_, { make, step = {} }) => {
      const whole = wholeOf(make, LARGE);
      let parts: Optimizer[] = [];
      for (const [i, ranks] of [2, 3, 1, 5].entries()) {
        const next = ranksOf(make, ranks, LARGE);
        if (i > 0) {
          // What is there already has to go.
          train(next, step, 90, 92, LARGE);
          await move(parts, next);
        }
        parts = next;
        train([whole], step, 10 * i, 10 * i + 10, LARGE);
        train(parts, step, 10 * i, 10 * i + 10, LARGE);
        expectSame(parts, whole);
      }
    },
  );

  it("without a step, with a schedule", async () => {
    const { make } = CASES["AMSGrad, ascent, a schedule"]!;
    const to = ranksOf(make, 3);
    train(to, {}, 0, 3);
    await move(ranksOf(make, 2), to);
    expectSame(to, wholeOf(make));
  });

  it("owners in any order, whole tensors, ranks that own nothing", async () => {
    const make = (owned: Record<string, [number, number]>) =>
      AdamW.createSync(
        Object.fromEntries(
          Object.entries({ a: [6, 2], b: [3] }).map(([name, shape]) => [name, { shape, rows: owned[name] ?? [2, 2] }]),
        ),
      );
    const from = [make({ a: [4, 6] }), make({}), make({ b: [0, 3], a: [0, 4] }), make({})];
    for (const part of from) {
      for (const name of ["a", "b"]) part.param(name).set(Array.from(part.param(name), (_, i) => i + 1));
      part.step();
    }
    const to = [make({}), make({ a: [3, 5], b: [1, 2] })];
    await move(from, to);
    expect([...to[1]!.param("a")]).toEqual([7, 8, 1, 2].map((value) => expect.closeTo(value, 1)));
    expect(to[0]!.steps).toBe(1);
    expect([...to[1]!.param("b")]).toEqual([expect.closeTo(2, 1)]);
  });
});

describe("without parameters", () => {
  const options = { ranks: 1, rank: 0, run, params: false };

  it("they stay as they are", async () => {
    const { make } = CASES.AdamW!;
    const [from] = ranksOf(make, 1);
    train([from!], {}, 0, 3);
    const shard = encodeShard(from!, options);
    expect(shard.model).toBeUndefined();
    const bytes = ranksOf(make, 1)[0]!;
    expect(loadShards(bytes, { optimizer: [shard.optimizer] }).params).toBe(false);
    // Over a save that has some.
    await saveShards(folder, from!, { ...options, params: true });
    await completeShards(folder);
    await saveShards(folder, from!, options);
    await completeShards(folder);
    const files = ranksOf(make, 1)[0]!;
    expect((await loadShardFiles(folder, files)).params).toBe(false);
    for (const loaded of [bytes, files]) {
      expect(loaded.stateDict()).toEqual(from!.stateDict());
      expect(loaded.param("w")).toEqual(wholeOf(make).param("w"));
    }
  });
});

it("two encodings without a step in between give the same bytes", () => {
  const [part] = ranksOf(CASES.AdamW!.make, 2);
  const options = { rank: 0, ranks: 2, run };
  expect(encodeShard(part!, options)).toEqual(encodeShard(part!, options));
});

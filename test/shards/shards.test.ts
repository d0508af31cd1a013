/** Shards as bytes: saved by so many ranks, loaded by any other number of them. */
import { AdamW, type ParamSet } from "fused-adam";
import { encodeShard, loadShards } from "fused-adam/shards";
import { describe, expect, it } from "vitest";
import { reshards } from "./reshard.js";
import { CASES, ranksOf, train, wholeOf } from "./support.js";

const run = "run of the test";

describe("as bytes", () => {
  reshards(async (from, to) => {
    const shards = from.map((optimizer, rank) => encodeShard(optimizer, { rank, ranks: from.length, run }));
    const all = {
      optimizer: shards.map(({ optimizer }) => optimizer),
      model: shards.map(({ model }) => model!).reverse(),
    };
    return to.map((optimizer) => loadShards(optimizer, all));
  });
});

it("without parameters they stay as they are", () => {
  const { make } = CASES.AdamW!;
  const [from, to] = [ranksOf(make, 1)[0]!, ranksOf(make, 1)[0]!];
  train([from], {}, 0, 3);
  const shard = encodeShard(from, { rank: 0, ranks: 1, run, params: false });
  expect(shard.model).toBeUndefined();
  expect(loadShards(to, { optimizer: [shard.optimizer] }).params).toBe(false);
  expect(to.stateDict()).toEqual(from.stateDict());
  expect(to.param("w")).toEqual(wholeOf(make).param("w"));
});

it("moments of the other width load: widened, or rounded to nearest", () => {
  const make = (moments: "float32" | "bfloat16") => (params: ParamSet) => AdamW.createSync(params, { moments });
  const shardsOf = (parts: ReturnType<typeof ranksOf>) =>
    parts.map((part, rank) => encodeShard(part, { rank, ranks: 2, run }).optimizer);
  const narrow = ranksOf(make("bfloat16"), 2);
  train(narrow, {}, 0, 5);
  const wide = ranksOf(make("float32"), 1)[0]!;
  loadShards(wide, { optimizer: shardsOf(narrow) });
  const back = ranksOf(make("bfloat16"), 2);
  for (const part of back) loadShards(part, { optimizer: [encodeShard(wide, { rank: 0, ranks: 1, run }).optimizer] });
  back.forEach((part, rank) => {
    expect(part.stateDict()).toEqual(narrow[rank]!.stateDict());
  });
  const mixed = [narrow[0]!, ranksOf(make("float32"), 2)[1]!];
  mixed[1]!.loadStateDict(narrow[1]!.stateDict());
  expect(() => loadShards(wide, { optimizer: shardsOf(mixed) })).toThrow(
    expect.objectContaining({ code: "ERR_CHECKPOINT" }),
  );
});

it("two encodings without a step in between give the same bytes", () => {
  const [part] = ranksOf(CASES.AdamW!.make, 2);
  const options = { rank: 0, ranks: 2, run };
  expect(encodeShard(part!, options)).toEqual(encodeShard(part!, options));
});

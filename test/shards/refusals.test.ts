/** Shards that do not belong together, are damaged, or not those of this optimizer: refused whole, and nothing has changed. */
import { Adam, AdamW } from "fused-adam";
import { encodeCheckpoint, loadCheckpoint } from "fused-adam/checkpoint";
import { type EncodedShards, encodeShard, loadShards, type ShardOptions } from "fused-adam/shards";
import { describe, expect, it } from "vitest";
import { Xxh32 } from "../../src/checkpoint/checksum.js";
import { fileOf, type LooseHeader, snapshot, split, stepped, typedError, unchanged } from "../checkpoint/support.js";
import { detach, revoked } from "../support/api.js";
import { dyadic } from "../support/model.js";

const run = "r";
const make = (rank: number, ranks: number, steps = 2, options = {}) => {
  const cut = (all: number): [number, number] => [
    Math.floor((all * rank) / ranks),
    Math.floor((all * (rank + 1)) / ranks),
  ];
  const part = (name: string, shape: number[]) => {
    const rows = cut(shape[0]!);
    const row = shape[1] ?? 1;
    return [name, { shape, rows, data: dyadic(shape[0]! * row, 3).slice(rows[0] * row, rows[1] * row) }];
  };
  return stepped(AdamW.createSync(Object.fromEntries([part("w", [4, 3]), part("é", [3])]), options), steps);
};
const shardOf = (rank: number, ranks: number, options: Partial<ShardOptions> = {}, steps = 2, hyper = {}) =>
  encodeShard(make(rank, ranks, steps, hyper), { rank, ranks, run, ...options });

const good = [shardOf(0, 2), shardOf(1, 2)];
const all = (shards: readonly ReturnType<typeof shardOf>[]) => ({
  optimizer: shards.map(({ optimizer }) => optimizer),
  model: shards.map(({ model }) => model!),
});

/** Nothing between: refused with an error that says what and where, and nothing has changed. */
function refused(shards: EncodedShards | unknown, optimizer: AdamW | Adam = make(0, 1)) {
  const before = snapshot(optimizer);
  const error = typedError(() => loadShards(optimizer, shards as EncodedShards));
  expect(unchanged(optimizer, before)).toBe(true);
  return error;
}

/** A shard whose header was edited, with a checksum that holds again: what a program, and not an accident, would have written. */
function forged(bytes: Uint8Array, edit: (header: LooseHeader) => void): Uint8Array {
  const { header, data } = split(bytes);
  edit(header);
  const file = fileOf(header, data);
  const end = file.length - data.length;
  const at = Buffer.from(file).indexOf("xxh32:") + 6;
  if (at < 6) return file;
  file.set(new TextEncoder().encode("00000000"), at);
  file.set(new TextEncoder().encode(new Xxh32().update(file.subarray(0, end)).digest()), at);
  return file;
}

/** Metadata are strings of JSON. */
function inside(header: LooseHeader, key: string, edit: (value: LooseHeader) => void): void {
  const value = JSON.parse(header.__metadata__[key]);
  edit(value);
  header.__metadata__[key] = JSON.stringify(value);
}

it("the good ones load, into any other number of ranks", () => {
  for (const ranks of [1, 2, 3]) for (let rank = 0; rank < ranks; rank++) loadShards(make(rank, ranks, 0), all(good));
});

describe("shards that do not belong together", () => {
  const three = [0, 1, 2].map((rank) => shardOf(rank, 3));
  const cases: Record<string, [shards: EncodedShards, message: RegExp, code?: string]> = {
    "none at all": [{ optimizer: [] }, /"optimizer": expected the shards of a save, got none/],
    "one missing": [all(good.slice(1)), /"optimizer": expected the shards of 2 ranks, got none of rank 0/],
    "the last one missing": [all(good.slice(0, 1)), /got none of rank 1/],
    "one of the model missing": [{ ...all(good), model: all(good).model.slice(1) }, /"model": .* got none of rank 0/],
    "one twice": [
      all([...good, good[1]!]),
      /"optimizer\[2\]": expected every rank once, got rank 1 again: it is in optimizer\[1\]/,
    ],
    "one twice instead of another": [all([good[0]!, good[0]!]), /rank 0 again/],
    "of two numbers of ranks": [all([three[0]!, good[1]!]), /expected the ranks of optimizer\[0\]/],
    "of two runs": [
      all([good[0]!, shardOf(1, 2, { run: "s" })]),
      /expected the run of optimizer\[0\], the string "r", got the string "s"/,
    ],
    "of two steps": [all([good[0]!, shardOf(1, 2, {}, 3)]), /expected the steps of optimizer\[0\]/],
    "of two groups": [all([good[0]!, shardOf(1, 2, {}, 2, { lr: 0.5 })]), /expected the param_groups of/],
    "with and without AMSGrad": [
      all([good[0]!, shardOf(1, 2, {}, 2, { amsgrad: true })]),
      /expected the param_groups of/,
    ],
    "with and without parameters": [
      { optimizer: [good[0]!.optimizer, shardOf(1, 2, { params: false }).optimizer] },
      /expected the params of/,
    ],
    "a state and the model of another run": [
      { ...all(good), model: all([0, 1].map((rank) => shardOf(rank, 2, { run: "s" }))).model },
      /expected the run of/,
    ],
    "a state and the model of another step": [
      { ...all(good), model: all([0, 1].map((rank) => shardOf(rank, 2, {}, 3))).model },
      /expected the steps of/,
    ],
    "a state and the model of another number of ranks": [
      { ...all(good), model: all(three).model },
      /expected the ranks of/,
    ],
    "a model in place of a state": [
      { optimizer: all(good).model },
      /"optimizer\[0\]: shard": expected the string "optimizer 1"/,
    ],
    "a state in place of a model": [{ ...all(good), model: all(good).optimizer }, /"model\[0\]: shard"/],
    "a checkpoint in place of a state": [{ optimizer: [encodeCheckpoint(make(0, 1))] }, /"optimizer\[0\]: shard"/],
    "rows that overlap": [
      all([encodeShard(make(0, 1), { rank: 0, ranks: 2, run }), good[1]!]),
      /"optimizer\[1\]: w": expected rows from 4 on, where optimizer\[0\] ends, got rows 2 to 4, which overlap/,
    ],
    "rows that nobody has": [
      all([good[0]!, encodeShard(make(2, 3), { rank: 1, ranks: 2, run })]),
      /"é": expected all of its 3 rows, got none that begins with row 1: it is missing/,
    ],
    "rows of other shapes": [
      all([
        good[0]!,
        encodeShard(
          stepped(AdamW.createSync({ w: { shape: [5, 3], rows: [2, 4] }, é: { shape: [3], rows: [1, 3] } }), 2),
          { rank: 1, ranks: 2, run },
        ),
      ]),
      /"optimizer\[1\].w": expected shape \[4, 3\], as in optimizer\[0\], got \[5, 3\]/,
    ],
  };

  it.each(Object.entries(cases))("%s", (_, [shards, message, code = "ERR_CHECKPOINT"]) => {
    for (const optimizer of [make(0, 1), make(1, 3)]) {
      expect(refused(shards, optimizer)).toMatchObject({
        name: "RangeError",
        code,
        message: expect.stringMatching(message),
      });
    }
  });
});

describe("shards of another optimizer", () => {
  it.each([
    ["other names", () => AdamW.createSync({ w: { shape: [4, 3] }, b: { shape: [3] } }), "ERR_STATE_MISMATCH"],
    ["fewer names", () => AdamW.createSync({ w: { shape: [4, 3] } }), "ERR_STATE_MISMATCH"],
    [
      "another shape of as many elements",
      () => AdamW.createSync({ w: { shape: [3, 4] }, é: { shape: [3] } }),
      "ERR_SHAPE_MISMATCH",
    ],
    [
      "another number of rows",
      () => AdamW.createSync({ w: { shape: [5, 3], rows: [0, 1] }, é: { shape: [3] } }),
      "ERR_SHAPE_MISMATCH",
    ],
    [
      "AMSGrad",
      () => AdamW.createSync({ w: { shape: [4, 3] }, é: { shape: [3] } }, { amsgrad: true }),
      "ERR_STATE_MISMATCH",
    ],
    [
      "other groups",
      () => AdamW.createSync([{ params: { w: { shape: [4, 3] } } }, { params: { é: { shape: [3] } } }]),
      "ERR_STATE_MISMATCH",
    ],
    ["the other decay", () => Adam.createSync({ w: { shape: [4, 3] }, é: { shape: [3] } }), "ERR_STATE_MISMATCH"],
  ] as const)("%s", (_, other, code) => {
    expect(refused(all(good), other())).toMatchObject({ code });
  });

  it("loadCheckpoint does not take one", () => {
    const { optimizer, model } = shardOf(0, 1);
    for (const bytes of [optimizer, model!]) {
      expect(typedError(() => loadCheckpoint(make(0, 1), bytes))).toMatchObject({
        code: "ERR_CHECKPOINT",
        message: expect.stringContaining("not a checkpoint of fused-adam"),
      });
    }
  });
});

describe("damage", () => {
  const files: Record<string, (bytes: Uint8Array) => EncodedShards> = {
    "the state": (bytes) => ({ ...all(good), optimizer: [good[0]!.optimizer, bytes] }),
    "the model": (bytes) => ({ ...all(good), model: [bytes, good[1]!.model!] }),
  };
  // The checks of one optimizer, over and over: each damage must leave it as it was.
  const victim = make(0, 1, 0);
  const before = snapshot(victim);
  const isRefused = (shards: EncodedShards) =>
    typedError(() => loadShards(victim, shards)) !== undefined && unchanged(victim, before);

  it.each(Object.entries(files))("every bit of %s that is flipped, and every truncation", (what, shardsOf) => {
    const bytes = Uint8Array.from(what === "the state" ? good[1]!.optimizer : good[0]!.model!);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      if (!isRefused(shardsOf(bytes))) expect.unreachable(`bit ${bit & 7} of byte ${bit >> 3} of ${bytes.length}`);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
    }
    for (let length = 0; length < bytes.length; length++) {
      if (!isRefused(shardsOf(bytes.subarray(0, length)))) expect.unreachable(`the first ${length} bytes`);
    }
    expect(isRefused(shardsOf(Buffer.concat([bytes, Buffer.from([0])])))).toBe(true);
  });

  it("is refused also where a rank does not own it, and says where it is", () => {
    const bytes = Uint8Array.from(good[1]!.optimizer);
    bytes[bytes.length - 1]! ^= 1;
    const error = refused({ ...all(good), optimizer: [bytes, good[0]!.optimizer] }, make(0, 4));
    expect(error).toMatchObject({
      code: "ERR_CHECKSUM",
      message: expect.stringMatching(/^"optimizer\[0\]: é\.exp_avg_sq, rows from 1 on"/),
    });
  });
});

describe("a header that a program has made up", () => {
  const cases: Record<string, (header: LooseHeader) => void> = {
    "no checksum": ({ __metadata__ }) => delete __metadata__.checksum,
    "no run": ({ __metadata__ }) => delete __metadata__.run,
    "a key that is not known": ({ __metadata__ }) => Object.assign(__metadata__, { also: "this" }),
    "another version": ({ __metadata__ }) => Object.assign(__metadata__, { shard: "optimizer 2" }),
    "another format": ({ __metadata__ }) => Object.assign(__metadata__, { format: "pt" }),
    "rank 2 of 2": ({ __metadata__ }) => Object.assign(__metadata__, { rank: "2" }),
    "no ranks": ({ __metadata__ }) => Object.assign(__metadata__, { ranks: "0" }),
    "2^53 ranks": ({ __metadata__ }) => Object.assign(__metadata__, { ranks: "9007199254740992" }),
    "a million ranks": ({ __metadata__ }) => Object.assign(__metadata__, { ranks: "1000000" }),
    "a negative rank": ({ __metadata__ }) => Object.assign(__metadata__, { rank: "-1" }),
    "params that are not true or false": ({ __metadata__ }) => Object.assign(__metadata__, { params: "maybe" }),
    "rows past the end": (header) => inside(header, "rows", ({ w }) => Object.assign(w, { rows: [2, 5] })),
    "rows in the wrong order": (header) => inside(header, "rows", ({ w }) => Object.assign(w, { rows: [4, 2] })),
    "rows without an end": (header) => inside(header, "rows", ({ w }) => Object.assign(w, { rows: [2] })),
    "more rows than it has": (header) => inside(header, "rows", ({ w }) => Object.assign(w, { rows: [0, 4] })),
    "no rows, and a tensor": (header) => inside(header, "rows", ({ w }) => Object.assign(w, { rows: [4, 4] })),
    "another shape": (header) => inside(header, "rows", ({ w }) => Object.assign(w, { shape: [4, 3, 1] })),
    "an enormous shape": (header) =>
      inside(header, "rows", ({ w }) => Object.assign(w, { shape: [9007199254740991, 3] })),
    "rows of nothing known": (header) => inside(header, "rows", (rows) => Object.assign(rows, { v: rows.w })),
    "no rows of a parameter": (header) => inside(header, "rows", (rows) => delete rows.w),
    "another key beside the rows": (header) => inside(header, "rows", ({ w }) => Object.assign(w, { bytes: [9] })),
    "a checksum too many": (header) =>
      inside(header, "sums", (sums) => Object.assign(sums, { "w.exp_avg": `${sums["w.exp_avg"]}00000000` })),
    "half a checksum": (header) => inside(header, "sums", (sums) => Object.assign(sums, { "w.exp_avg": "0000" })),
    "no checksum of a tensor": (header) => inside(header, "sums", (sums) => delete sums["w.exp_avg"]),
    "checksums of a tensor that is not there": (header) =>
      inside(header, "sums", (sums) => Object.assign(sums, { v: "" })),
    "a tensor too many": (header) => Object.assign(header, { v: { dtype: "F32", shape: [0], data_offsets: [0, 0] } }),
    "a tensor of another name": (header) => {
      header.v = header["w.exp_avg"];
      delete header["w.exp_avg"];
    },
    "elements that are no floats": (header) => Object.assign(header["w.exp_avg"], { dtype: "I32" }),
    "steps of another parameter": (header) => inside(header, "steps", (steps) => Object.assign(steps, { v: 2 })),
    "a group without parameters": (header) => inside(header, "param_groups", ({ 0: group }) => delete group.params),
  };

  it.each(Object.entries(cases))("%s", (_, edit) => {
    const bytes = forged(good[1]!.optimizer, edit);
    expect(refused({ ...all(good), optimizer: [good[0]!.optimizer, bytes] })).toMatchObject({
      name: "RangeError",
      code: "ERR_CHECKPOINT",
    });
  });

  it("an edit that changes nothing is none of these", () => {
    const bytes = forged(good[1]!.optimizer, () => {});
    loadShards(make(0, 1), { ...all(good), optimizer: [good[0]!.optimizer, bytes] });
  });

  it("values that no optimizer has", () => {
    const { header, data } = split(good[1]!.optimizer);
    const floats = new Float32Array(new Uint8Array(data).buffer);
    floats[0] = Number.NaN;
    const bytes = new Uint8Array(floats.buffer);
    const sum = new Xxh32().update(bytes.subarray(0, header["w.exp_avg"].data_offsets[1])).digest();
    const nan = forged(fileOf(header, bytes), (edited) =>
      inside(edited, "sums", (sums) => Object.assign(sums, { "w.exp_avg": sum })),
    );
    expect(refused({ ...all(good), optimizer: [good[0]!.optimizer, nan] })).toMatchObject({
      code: "ERR_NON_FINITE",
      message: '"state.w.exp_avg": expected finite values, got NaN at index 6',
    });
  });
});

describe("arguments of a wrong kind", () => {
  it.each([
    [{}, "rank"],
    [{ rank: 0, ranks: 2 }, "run"],
    [{ rank: 0, run }, "ranks"],
    [{ rank: 2, ranks: 2, run }, "rank"],
    [{ rank: -1, ranks: 2, run }, "rank"],
    [{ rank: 0.5, ranks: 2, run }, "rank"],
    [{ rank: 0, ranks: 0, run }, "ranks"],
    [{ rank: 0, ranks: 100000, run }, "ranks"],
    [{ rank: "0", ranks: 2, run }, "rank"],
    [{ rank: 0, ranks: 2, run: 3 }, "run"],
    [{ rank: 0, ranks: 2, run: "\ud800" }, "run"],
    [{ rank: 0, ranks: 2, run, params: 1 }, "params"],
    [{ rank: 0, ranks: 2, run, param: true }, "options"],
    [undefined, "options"],
  ])("encodeShard: %#", (options, label) => {
    const error = typedError(() => encodeShard(make(0, 2), options as ShardOptions));
    expect(error?.message.startsWith(`"${label}": expected `), error?.message).toBe(true);
  });

  it("loadShards", () => {
    for (const shards of [
      undefined,
      null,
      [],
      {},
      { optimizer: good[0]!.optimizer },
      { ...all(good), more: [] },
      revoked(),
    ]) {
      expect(refused(shards)).toMatchObject({ name: "TypeError" });
    }
    const gone = detach(Uint8Array.from(good[0]!.optimizer));
    for (const item of [3, null, new Float32Array(3), gone]) {
      expect(refused({ optimizer: [item, good[1]!.optimizer] })).toMatchObject({
        name: "TypeError",
        message: expect.stringMatching(/^"optimizer\[0\]"/),
      });
    }
  });

  it("what would be refused on loading is refused on saving", () => {
    const optimizer = make(0, 2);
    optimizer.param("w")[1] = Number.NaN;
    expect(typedError(() => encodeShard(optimizer, { rank: 0, ranks: 2, run }))).toMatchObject({
      code: "ERR_NON_FINITE",
    });
    encodeShard(optimizer, { rank: 0, ranks: 2, run, params: false });
    optimizer.dispose();
    for (const call of [
      () => encodeShard(optimizer, { rank: 0, ranks: 2, run }),
      () => loadShards(optimizer, all(good)),
    ]) {
      expect(call).toThrow(expect.objectContaining({ code: "ERR_DISPOSED" }));
    }
  });
});

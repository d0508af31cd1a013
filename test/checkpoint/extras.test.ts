/** Metadata and tensors of the user's own in a checkpoint. */
import { AdamW } from "fused-adam";
import { type CheckpointOptions, encodeCheckpoint, loadCheckpoint } from "fused-adam/checkpoint";
import { describe, expect, test } from "vitest";
import { detach, revoked } from "../support/api.js";
import { expectSameBits } from "../support/bits.js";
import { edited, fileOf, type LooseHeader, signed, split, stepped, tiny, typedError } from "./support.js";

const there = (options: CheckpointOptions) => loadCheckpoint(tiny(), encodeCheckpoint(stepped(tiny()), options));

test("metadata come back as they were, whatever the keys and texts", () => {
  const metadata = {
    epoch: "12",
    "": "",
    checksum: "xxh32:00000000",
    format: "pt",
    ["__proto__"]: "own",
    'a"\\\n\u0000': "\u{1f600} é \u2028 \u007f",
    long: "x".repeat(100_000),
  };
  const got = there({ metadata });
  expect(Object.entries(got.metadata)).toEqual(Object.entries(metadata));
  expect(got.tensors).toEqual({});
});

test("tensors come back bit for bit, flat, in copies; the file has their shapes", () => {
  const bits = Uint32Array.of(0x7fc00001, 0xff800000, 0x80000000, 1, 0x7f7fffff, 0x3f800000);
  const random = new Float32Array(bits.buffer);
  const window = new Float32Array(8).subarray(3, 5).fill(0.25);
  const tensors = {
    "ema.w": { shape: [2, 3], data: random },
    window,
    ["__proto__"]: Float32Array.of(1),
    none: { shape: [0], data: new Float32Array() },
  };
  const bytes = encodeCheckpoint(stepped(tiny()), { tensors });
  expect(split(bytes).header["ema.w"]).toMatchObject({ dtype: "F32", shape: [2, 3] });
  for (const offset of [0, 1, 2, 3]) {
    const shifted = new Uint8Array(bytes.length + 4);
    shifted.set(bytes, offset);
    const got = loadCheckpoint(tiny(), shifted.subarray(offset, offset + bytes.length)).tensors;
    expect(Object.keys(got)).toEqual(["ema.w", "window", "__proto__", "none"]);
    shifted.fill(0xff);
    expect([...new Uint32Array(got["ema.w"]!.buffer)]).toEqual([...bits]);
    expectSameBits("window", got.window!, window);
    expect([...Object.getOwnPropertyDescriptor(got, "__proto__")!.value]).toEqual([1]);
    expect(got.none).toEqual(new Float32Array());
  }
  // They take no part in what an optimizer has, and nothing of it depends on them.
  const to = tiny();
  loadCheckpoint(to, bytes);
  expect(to.stateDict()).toEqual(stepped(tiny()).stateDict());
});

test("they are under the checksum: every changed byte of them is noticed", () => {
  const bytes = encodeCheckpoint(tiny(), { metadata: { epoch: "12" }, tensors: { ema: Float32Array.of(1, 2) } });
  const text = Buffer.from(bytes).toString("latin1");
  const places = [text.indexOf("epoch") + 2, text.indexOf('\\"12') + 2, text.indexOf('"ema"') + 1, bytes.length - 1];
  for (const at of places) {
    const changed = Uint8Array.from(bytes);
    changed[at]! ^= 1;
    expect(typedError(() => loadCheckpoint(tiny(), changed))?.code, String(at)).toBe("ERR_CHECKSUM");
  }
});

test("with and without parameters, and in partial loads", () => {
  const options = { metadata: { a: "b" }, tensors: { t: Float32Array.of(3) } };
  for (const params of [true, false]) expect(there({ ...options, params })).toMatchObject({ ...options, params });
  const other = AdamW.createSync({ w: { shape: [2, 2] }, t: { shape: [1] } });
  const got = loadCheckpoint(other, encodeCheckpoint(tiny(), options), { partial: true });
  // A parameter of that name is another thing.
  expect(got).toMatchObject({ ...options, loaded: ["w"], missing: ["t"], unexpected: ["é"] });
  expect([...other.param("t")]).toEqual([0]);
});

test("two saves give the same bytes, and no extras leave none in the file", () => {
  const options = { metadata: { a: "b" }, tensors: { t: Float32Array.of(3) } };
  expect(encodeCheckpoint(tiny(), options)).toEqual(encodeCheckpoint(tiny(), options));
  const empty = encodeCheckpoint(tiny(), { metadata: {}, tensors: {} });
  expect(empty).toEqual(encodeCheckpoint(tiny()));
  expect(Object.keys(split(empty).header.__metadata__)).not.toContain("metadata");
});

test("names that a parameter or a moment has, or could have, are refused on saving", () => {
  for (const name of ["w", "w.exp_avg", "w.exp_avg_sq", "w.max_exp_avg_sq", "é.exp_avg"]) {
    for (const params of [true, false]) {
      const save = () => encodeCheckpoint(tiny(), { params, tensors: { [name]: new Float32Array(4) } });
      expect(typedError(save)).toMatchObject({ name: "RangeError", code: "ERR_DUPLICATE_NAME" });
      expect(typedError(save)?.message).toContain(name);
    }
  }
  expect(typedError(() => encodeCheckpoint(tiny(), { tensors: { __metadata__: new Float32Array(1) } }))?.code).toBe(
    "ERR_DUPLICATE_NAME",
  );
  expect(there({ tensors: { "w.grad": new Float32Array(1), ".exp_avg": new Float32Array(1) } }).tensors).toEqual({
    "w.grad": new Float32Array(1),
    ".exp_avg": new Float32Array(1),
  });
});

test("what is of a wrong kind is refused on saving, by name", () => {
  const one = new Float32Array(1);
  const wrong: [object, RegExp, string][] = [
    [{ metadata: null }, /^"metadata"/, "ERR_INVALID_TYPE"],
    [{ metadata: "x" }, /^"metadata"/, "ERR_INVALID_TYPE"],
    [{ metadata: new Map([["a", "b"]]) }, /^"metadata"/, "ERR_INVALID_TYPE"],
    [{ metadata: revoked() }, /^"metadata"/, "ERR_INVALID_TYPE"],
    [{ metadata: { epoch: 3 } }, /^"metadata\.epoch": expected a string, got 3/, "ERR_INVALID_TYPE"],
    [{ metadata: { epoch: undefined } }, /^"metadata\.epoch"/, "ERR_INVALID_TYPE"],
    [{ metadata: { a: "\ud800" } }, /^"metadata\.a"/, "ERR_OUT_OF_RANGE"],
    [{ metadata: { "\udc00": "a" } }, /^"metadata"/, "ERR_OUT_OF_RANGE"],
    [{ tensors: null }, /^"tensors"/, "ERR_INVALID_TYPE"],
    [{ tensors: [one] }, /^"tensors"/, "ERR_INVALID_TYPE"],
    [{ tensors: new Map([["a", one]]) }, /^"tensors"/, "ERR_INVALID_TYPE"],
    [{ tensors: { a: [1, 2] } }, /^"tensors\.a"/, "ERR_INVALID_TYPE"],
    [{ tensors: { a: new Float64Array(1) } }, /^"tensors\.a"/, "ERR_INVALID_TYPE"],
    [{ tensors: { a: { shape: [1] } } }, /^"tensors\.a"/, "ERR_INVALID_TYPE"],
    [{ tensors: { a: { length: 1, param: 0, grad: 0, expAvg: 0, expAvgSq: 0 } } }, /^"tensors\.a"/, "ERR_INVALID_TYPE"],
    [{ tensors: { a: { shape: [2], rows: [0, 1], data: one } } }, /^"tensors\.a"/, "ERR_INVALID_TYPE"],
    [{ tensors: { a: { shape: [2], data: one } } }, /^"tensors\.a\.data"/, "ERR_SHAPE_MISMATCH"],
    [{ tensors: { a: { data: one } } }, /^"tensors\.a\.shape"/, "ERR_INVALID_TYPE"],
    [{ tensors: { a: detach(new Float32Array(2)) } }, /^"tensors\.a"/, "ERR_DETACHED_BUFFER"],
    [{ tensors: { "": one } }, /^"tensors"/, "ERR_EMPTY_NAME"],
    [{ tensors: { "\ud800": one } }, /^"tensors"/, "ERR_OUT_OF_RANGE"],
  ];
  for (const [options, message, code] of wrong) {
    const error = typedError(() => encodeCheckpoint(tiny(), options as CheckpointOptions));
    expect(error, String(message)).toMatchObject({ code });
    expect(error?.message).toMatch(message);
  }
});

describe("hostile files", () => {
  const good = () =>
    edited(
      tiny(),
      extras(() => {}),
    );
  /** A file with a tensor "t" of two values and the epoch, spoilt. */
  function extras(spoil: (header: LooseHeader) => void) {
    return (header: LooseHeader) => {
      const last = Math.max(...Object.values(header).map(({ data_offsets }) => data_offsets?.[1] ?? 0));
      header.t = { dtype: "F32", shape: [2], data_offsets: [last, last + 8] };
      header.__metadata__.tensors = '["t"]';
      header.__metadata__.metadata = '{"epoch":"3"}';
      spoil(header);
    };
  }
  /** With the two values. */
  const load = (spoil: (header: LooseHeader) => void) => {
    const { header, data } = split(edited(tiny(), extras(spoil)));
    return loadCheckpoint(tiny(), fileOf(header, new Uint8Array([...data, ...new Uint8Array(8).fill(0xff)])));
  };

  test("what they are made from loads", () => {
    expect(good().length).toBeGreaterThan(0);
    const { metadata, tensors } = load(() => {});
    expect(metadata).toEqual({ epoch: "3" });
    expect([...tensors.t!]).toEqual([NaN, NaN]);
  });

  const put = (metadata: object) => (header: LooseHeader) => Object.assign(header.__metadata__, metadata);
  const spoilt: Record<string, [(header: LooseHeader) => unknown, string]> = {
    "a tensor that is not listed": [(h) => void delete h.__metadata__.tensors, "ERR_STATE_MISMATCH"],
    "a tensor that is listed and not there": [put({ tensors: '["t","u"]' }), "ERR_STATE_MISMATCH"],
    "a tensor that is listed twice": [put({ tensors: '["t","t"]' }), "ERR_STATE_MISMATCH"],
    "a parameter that is listed": [put({ tensors: '["t","w"]' }), "ERR_STATE_MISMATCH"],
    "a moment that is listed": [put({ tensors: '["t","w.exp_avg"]' }), "ERR_STATE_MISMATCH"],
    "a moment that a parameter could have": [
      (h) => {
        h["w.max_exp_avg_sq"] = h.t;
        delete h.t;
        h.__metadata__.tensors = '["w.max_exp_avg_sq"]';
      },
      "ERR_STATE_MISMATCH",
    ],
    "a tensor of another type": [(h) => Object.assign(h.t, { dtype: "I64", shape: [1] }), "ERR_STATE_MISMATCH"],
    "a list that is no list": [put({ tensors: "{}" }), "ERR_CHECKPOINT"],
    "a list that goes on": [put({ tensors: '["t"] 1' }), "ERR_CHECKPOINT"],
    "a list of numbers": [put({ tensors: "[1]" }), "ERR_CHECKPOINT"],
    "metadata that are no object": [put({ metadata: "[]" }), "ERR_CHECKPOINT"],
    "metadata that go on": [put({ metadata: "{}{}" }), "ERR_CHECKPOINT"],
    "metadata with a number": [put({ metadata: '{"epoch":3}' }), "ERR_CHECKPOINT"],
    "metadata with a key twice": [put({ metadata: '{"a":"","a":""}' }), "ERR_CHECKPOINT"],
    "in version 1": [
      (h) => {
        h.__metadata__.version = "1";
        h.__metadata__.param_groups = h.__metadata__.param_groups.replaceAll(',"decoupled_weight_decay":true', "");
      },
      "ERR_CHECKPOINT",
    ],
  };
  test.each(Object.entries(spoilt))("%s", (_, [spoil, code]) => {
    expect(typedError(() => load((header) => void spoil(header)))?.code).toBe(code);
  });

  test("a checksum that holds does not excuse them", () => {
    const bytes = encodeCheckpoint(tiny(), { tensors: { t: Float32Array.of(1) } });
    const renamed = Buffer.from(Buffer.from(bytes).toString("latin1").replace('"t":{', '"u":{'), "latin1");
    expect(typedError(() => loadCheckpoint(tiny(), signed(renamed)))?.code).toBe("ERR_STATE_MISMATCH");
  });
});

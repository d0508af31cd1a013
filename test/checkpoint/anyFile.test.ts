/** `fused-adam/safetensors`: any file of the format, in and out. */
import { AdamW } from "fused-adam";
import { encodeCheckpoint } from "fused-adam/checkpoint";
import { readSafetensors, writeSafetensors } from "fused-adam/safetensors";
import { describe, expect, it } from "vitest";
import { caught, detach, expectError, polluted, rangeError, revoked, typeError, wrong } from "../support/api.js";
import { fileOf, TENSORS, tiny } from "./support.js";

function float32Of(dtype: string, { buffer, byteLength }: ArrayBufferView, length: number): Float32Array {
  const bytes = new Uint8Array(buffer as ArrayBuffer, 0, byteLength);
  return readSafetensors(
    writeSafetensors({ tensors: { x: { dtype, shape: [length], bytes } } }),
  ).tensors.x!.toFloat32();
}

describe("readSafetensors", () => {
  it("gives back what writeSafetensors was given, larger elements first", () => {
    const metadata = { format: "pt", "": "ü\n" };
    const file = readSafetensors(writeSafetensors({ metadata, tensors: TENSORS }));
    expect(file.metadata).toEqual(metadata);
    const listed = Object.entries(file.tensors).map(([name, { dtype, shape, toFloat32 }]) => {
      return [name, dtype, shape, [...toFloat32()]];
    });
    expect(listed).toEqual([
      ["count", "I64", [], [7]],
      ["plain", "F32", [2], [1, -2]],
      ["matrix", "F32", [2, 3], [1, 2, 3, 4, 5, 6]],
      ["empty", "F32", [0, 5], []],
      ["half", "BF16", [1], [1]],
      ["flag", "BOOL", [3], [1, 0, 1]],
    ]);
    expect(writeSafetensors(file)).toEqual(writeSafetensors({ metadata, tensors: TENSORS }));
  });

  it("reads from an offset of a larger buffer, aligned or not", () => {
    const bytes = writeSafetensors({ tensors: TENSORS });
    for (let shift = 0; shift < 9; shift++) {
      const moved = new Uint8Array(bytes.length + 20);
      moved.set(bytes, shift);
      const { tensors } = readSafetensors(moved.subarray(shift, shift + bytes.length));
      expect([...tensors.matrix!.toFloat32()], String(shift)).toEqual([1, 2, 3, 4, 5, 6]);
      expect([...tensors.count!.toFloat32()], String(shift)).toEqual([7]);
      expect([...tensors.half!.toFloat32()], String(shift)).toEqual([1]);
    }
  });

  it("has the bytes as a view, and float32 as a copy", () => {
    const bytes = writeSafetensors({ tensors: { w: Float32Array.of(1, 2) } });
    const { w } = readSafetensors(bytes).tensors;
    const copy = w!.toFloat32();
    expect(w!.bytes.buffer).toBe(bytes.buffer);
    w!.bytes.fill(0);
    expect([[...copy], [...w!.toFloat32()]]).toEqual([
      [1, 2],
      [0, 0],
    ]);
  });

  it("any name is one, also those that objects inherit", () => {
    const names = ["__proto__", "constructor", "toString", "", "a.b"];
    const tensors = Object.fromEntries(names.map((name) => [name, new Float32Array([1])]));
    const read = readSafetensors(writeSafetensors({ tensors, metadata: Object.fromEntries([["__proto__", "m"]]) }));
    expect(Object.keys(read.tensors)).toEqual(names);
    expect(Object.entries(read.metadata)).toEqual([["__proto__", "m"]]);
    expect(Object.getPrototypeOf(read.tensors)).toBe(Object.prototype);
  });

  it("reads a checkpoint", () => {
    const optimizer = tiny();
    const { tensors, metadata } = readSafetensors(encodeCheckpoint(optimizer, { params: true }));
    expect(tensors.w!.toFloat32()).toEqual(optimizer.param("w").slice());
    expect(metadata.format).toBe("fused-adam");
    const { shape, toFloat32 } = tensors["w.exp_avg"]!;
    expect([shape, [...toFloat32()]]).toEqual([
      [2, 2],
      [0, 0, 0, 0],
    ]);
  });

  it("a type that is not known is there, with its bytes, and has no float32", async () => {
    const entry = (dtype: string, start: number, end: number, ...shape: number[]) => ({
      dtype,
      shape,
      data_offsets: [start, end],
    });
    const header = {
      known: entry("F32", 0, 4, 1),
      later: entry("F8_E4M3FNX", 4, 7, 3),
      wide: entry("I128", 7, 39, 2),
      complex: entry("C64", 39, 47, 1),
      packed: entry("F4", 47, 48, 2),
    };
    const { tensors } = readSafetensors(
      fileOf(
        header,
        Uint8Array.from({ length: 48 }, (_, i) => i),
      ),
    );
    expect(Object.keys(tensors)).toEqual(["known", "later", "wide", "complex", "packed"]);
    expect([...tensors.later!.bytes]).toEqual([4, 5, 6]);
    expect(tensors.wide!.bytes.length).toBe(32);
    for (const [name, { dtype, toFloat32 }] of Object.entries(tensors).slice(1)) {
      const error = await caught(toFloat32, name);
      expectError(error, typeError(name, "ERR_DTYPE"));
      expect((error as Error).message).toBe(`"${name}": expected a type that has values in float32, got ${dtype}`);
    }
  });

  it("refuses what is not a whole file, and types whose names are none", async () => {
    const refused = async (
      bytes: unknown,
      label: string,
      code: "ERR_CHECKPOINT" | "ERR_INVALID_TYPE" = "ERR_CHECKPOINT",
    ) => {
      const expected = code === "ERR_CHECKPOINT" ? rangeError(label, code) : typeError(label, code);
      expectError(await caught(() => readSafetensors(wrong(bytes)), label), expected);
    };
    const good = writeSafetensors({ tensors: TENSORS });
    await refused(good.subarray(0, 7), "file");
    await refused(good.subarray(0, good.length - 1), "file");
    await refused(Uint8Array.of(...good, 0), "file");
    for (const value of [undefined, null, "x", [1], good.buffer, new Float32Array(9), revoked()]) {
      await refused(value, "bytes", "ERR_INVALID_TYPE");
    }
    const entry = (dtype: string) => fileOf({ x: { dtype, shape: [], data_offsets: [0, 1] } }, new Uint8Array(1));
    for (const dtype of ["", "f8", "F8\u001b[2J", "F8\u202e", "F".repeat(33), "\u009b", "F 8"])
      await refused(entry(dtype), "x.dtype");
    const backwards = fileOf({ x: { dtype: "F9", shape: [], data_offsets: [1, 0] } }, new Uint8Array(1));
    await refused(backwards, "x.data_offsets");
  });

  it("a file whose bytes have gone elsewhere meanwhile is not one of zeros", async () => {
    const bytes = writeSafetensors({ tensors: { w: new Float32Array(0), v: new Float32Array(3) } });
    const { w, v } = readSafetensors(bytes).tensors;
    detach(bytes);
    for (const [name, tensor] of Object.entries({ w, v })) {
      expectError(await caught(() => tensor!.toFloat32(), name), typeError(name, "ERR_DETACHED_BUFFER"));
    }
  });
});

describe("writeSafetensors", () => {
  it("says what is wrong", async () => {
    const f32 = (shape: unknown, data: unknown) => ({ tensors: { w: { shape, data } } });
    const some = (source: unknown) => ({ tensors: { w: source } });
    const four = new Float32Array(4);
    const cases: [unknown, ReturnType<typeof typeError>][] = [
      [undefined, typeError("content")],
      [{ tensors: {}, metadate: {} }, typeError("content", "ERR_UNKNOWN_OPTION")],
      [{}, typeError("tensors")],
      [{ tensors: new Map([["w", four]]) }, typeError("tensors")],
      [{ tensors: {}, metadata: { epoch: 3 } }, typeError("metadata.epoch")],
      [{ tensors: {}, metadata: "pt" }, typeError("metadata")],
      [some(undefined), typeError("w")],
      [some(new Float64Array(4)), typeError("w")],
      [some([1, 2]), typeError("w")],
      [some({}), typeError("w.shape")],
      [some({ shape: [4] }), typeError("w.dtype")],
      [some({ shape: [4], dtype: "F32" }), typeError("w.bytes")],
      [some({ shape: [1], dtype: "F33", bytes: new Uint8Array(4) }), rangeError("w.dtype", "ERR_CHECKPOINT")],
      [some({ shape: [2], dtype: "F32", bytes: new Uint8Array(4) }), rangeError("w.bytes", "ERR_SHAPE_MISMATCH")],
      // The values would have to be narrowed: what was asked for is not done in silence.
      [some({ shape: [4], dtype: "BF16", data: four }), typeError("w", "ERR_UNKNOWN_OPTION")],
      [f32([3], four), rangeError("w.data", "ERR_SHAPE_MISMATCH")],
      [f32([2, 2], new Float64Array(4)), typeError("w.data")],
      [f32([-4], four), rangeError("w.shape[0]")],
      [f32([2 ** 40, 2 ** 40], four), rangeError("w.shape", "ERR_CHECKPOINT")],
      [f32("4", four), typeError("w.shape")],
      [f32([4], detach(new Float32Array(4))), typeError("w.data", "ERR_DETACHED_BUFFER")],
      [{ tensors: { __metadata__: four } }, rangeError("__metadata__", "ERR_DUPLICATE_NAME")],
      // Not to be had in UTF-8; Python refuses such files.
      [{ tensors: { "\ud800": four } }, rangeError("tensors")],
      [{ tensors: {}, metadata: { a: "\udfff" } }, rangeError("metadata.a")],
      [{ tensors: {}, metadata: { "\ud800": "" } }, rangeError("metadata")],
      [revoked(), typeError("content")],
    ];
    for (const [content, expected] of cases) {
      expectError(await caught(() => writeSafetensors(wrong(content)), String(expected.label)), expected);
    }
  });

  it("more text than a header has room for is refused before it is put together", async () => {
    const expected = rangeError("header length", "ERR_CHECKPOINT");
    const refused = async (content: Parameters<typeof writeSafetensors>[0]) =>
      expectError(await caught(() => writeSafetensors(content)), expected);
    // As JSON 540 MB, more than a string of V8 can have; and twice what a header may have.
    const long = "\0".repeat(90_000_000);
    const half = "x".repeat(60_000_000);
    await refused({ metadata: { long }, tensors: {} });
    await refused({ tensors: { [`a${half}`]: new Float32Array(1), [`b${half}`]: new Float32Array(1) } });
  });

  it("a polluted Object.prototype adds nothing", async () => {
    const plain = writeSafetensors({ tensors: { w: new Float32Array(1) } });
    await polluted({ metadata: { a: "b" }, data: new Float32Array(1), dtype: "F32" }, () => {
      expect(writeSafetensors({ tensors: { w: new Float32Array(1) } })).toEqual(plain);
    });
  });

  it("an optimizer's parameters go out and in", () => {
    const optimizer = AdamW.createSync({
      w: { shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) },
      b: new Float32Array(3),
    });
    const tensors = Object.fromEntries(optimizer.names.map((name) => [name, optimizer.param(name)]));
    const read = readSafetensors(writeSafetensors({ tensors })).tensors;
    expect(Object.entries(read).map(([name, tensor]) => [name, tensor.toFloat32()])).toEqual([
      ["w", Float32Array.of(1, 2, 3, 4)],
      ["b", new Float32Array(3)],
    ]);
  });
});

describe("toFloat32, as the standards say", () => {
  // Largest and smallest normal and subnormal numbers, from the OCP specification of 8-bit floats (rev. 1.0), table 1, of microscaling
  // formats (rev. 1.0) for E8M0, and IEEE 754 for F16.
  it.each<[string, Record<number, number>]>([
    ["F8_E4M3", { 126: 448, 8: 2 ** -6, 7: 0.875 * 2 ** -6, 1: 2 ** -9, 127: Number.NaN, 255: Number.NaN, 128: -0 }],
    [
      "F8_E5M2",
      { 123: 57344, 4: 2 ** -14, 3: 0.75 * 2 ** -14, 1: 2 ** -16, 124: Infinity, 252: -Infinity, 125: Number.NaN },
    ],
    ["F8_E8M0", { 0: 2 ** -127, 127: 1, 254: 2 ** 127, 255: Number.NaN }],
    ["F8_E4M3FNUZ", { 127: 240, 128: Number.NaN, 1: 2 ** -10, 64: 1 }],
    ["F8_E5M2FNUZ", { 127: 57344, 128: Number.NaN, 1: 2 ** -17, 64: 1 }],
    ["BOOL", { 0: 0, 1: 1 }],
  ])("%s", (dtype, values) => {
    const got = float32Of(
      dtype,
      Uint8Array.from({ length: 256 }, (_, i) => i),
      256,
    );
    for (const [pattern, value] of Object.entries(values)) expect(got[Number(pattern)], pattern).toBe(value);
  });

  it("U64 and U32, whose largest numbers have no sign", () => {
    const u64 = BigUint64Array.of(2n ** 64n - 1n, 2n ** 63n, 2n ** 40n + 2n ** 16n, 2n ** 40n + 2n ** 16n + 1n);
    expect([...float32Of("U64", u64, 4)]).toEqual([2 ** 64, 2 ** 63, 2 ** 40, 2 ** 40 + 2 ** 17]);
    expect([...float32Of("U32", Uint32Array.of(2 ** 32 - 1, 2 ** 31 + 129), 2)]).toEqual([2 ** 32, 2 ** 31 + 256]);
    expect([...float32Of("U16", Uint16Array.of(65535), 1)]).toEqual([65535]);
  });
});

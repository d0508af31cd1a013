import { describe, expect, test } from "vitest";
import { Xxh32 } from "../../src/checkpoint/checksum.js";
import {
  byteLength,
  DTYPE_BITS,
  headerEnd,
  parseHeader,
  serializeHeader,
  type TensorSpec,
} from "../../src/checkpoint/safetensors.js";
import { fileOf } from "./support.js";

const text = (string: string) => new TextEncoder().encode(string);

describe("XXH32", () => {
  const bytes = Uint8Array.from({ length: 70_000 }, (_, i) => (i * i) >> 3);

  // What Debian's libxxhash 0.8.1 says.
  test.each([
    ["", "02cc5d05"],
    ["abc", "32d153ff"],
    ["Nobody inspects the spammish repetition", "e2293b2f"],
  ])("of %j", (string, digits) => {
    expect(new Xxh32().update(text(string)).digest()).toBe(digits);
  });
  test.each([
    [15, "41ffb082"],
    [16, "5aed2850"],
    [17, "f65284a6"],
    [31, "b5cc9e5d"],
    [16384, "02b06a41"],
    [70_000, "912b8188"],
  ])("of %i bytes", (length, digits) => {
    expect(new Xxh32().update(bytes.subarray(0, length)).digest()).toBe(digits);
  });

  test("does not depend on how the bytes are cut, nor on their alignment", () => {
    for (const length of [15, 16, 17, 31, 64, 16383, 16384, 16385, 16400, 70_000]) {
      const whole = new Xxh32().update(bytes.subarray(0, length)).digest();
      for (const piece of [1, 3, 16, 1000, 16384, 20_000]) {
        if (piece < 16 && length > 20_000) continue;
        const hash = new Xxh32();
        for (let at = 0; at < length; at += piece)
          hash.update(Uint8Array.from(bytes.subarray(at, Math.min(at + piece, length))));
        expect(hash.digest(), `${length} by ${piece}`).toBe(whole);
      }
      const shifted = new Uint8Array(length + 3);
      shifted.set(bytes.subarray(0, length), 3);
      expect(new Xxh32().update(shifted.subarray(3)).digest()).toBe(whole);
    }
  });
});

function write(tensors: readonly TensorSpec[], metadata: Record<string, string> = {}): Uint8Array {
  const header = serializeHeader(tensors, new Map(Object.entries(metadata)));
  const data = tensors.reduce((sum, { name, dtype, shape }) => sum + byteLength(name, dtype, shape), 0);
  const file = new Uint8Array(header.length + data);
  file.set(header);
  return file;
}

describe("safetensors", () => {
  test("what is written is read back: every type, scalars, empty tensors, any name", () => {
    const tensors = [
      ...[...DTYPE_BITS.keys()].map((dtype) => ({ name: `of ${dtype}`, dtype, shape: [2, 4, 3] })),
      { name: "scalar", dtype: "F64", shape: [] },
      { name: "empty", dtype: "BF16", shape: [3, 0, 2 ** 40] },
      ...["", "__proto__", "constructor", "10", "9", "ünï\u{1f600}", 'a"b\\c\n\0\u2028', "\ud800"].map((name) => ({
        name,
        dtype: "U8",
        shape: [1],
      })),
    ];
    const metadata = { 10: "a", 9: 'b"\\', __other__: "", ключ: "значение" };
    const file = write(tensors, metadata);
    const header = parseHeader(file);
    expect(Object.fromEntries(header.metadata)).toEqual(metadata);
    expect(header.tensors.size).toBe(tensors.length);
    let next = headerEnd(file, file.length);
    expect(next % 8).toBe(0);
    for (const { name, dtype, shape } of tensors) {
      const end = next + byteLength(name, dtype, shape);
      expect(header.tensors.get(name)).toEqual({ dtype, shape, start: next, end });
      next = end;
    }
    expect(next).toBe(file.length);
    for (const [key, value] of header.metadata) {
      if (key !== "9")
        expect(file.subarray(header.metadataOffset(key)).subarray(0, text(value).length)).toEqual(text(value));
    }
  });

  test("no tensors at all, with metadata or without", () => {
    expect(parseHeader(write([])).tensors.size).toBe(0);
    expect(parseHeader(fileOf("{}")).metadata.size).toBe(0);
    expect(parseHeader(fileOf('{"__metadata__":{}}  ')).metadata.size).toBe(0);
  });

  test("the header alone is enough, if the length of the file is known", () => {
    const file = write([{ name: "a", dtype: "F32", shape: [5] }]);
    const end = headerEnd(file.subarray(0, 8), file.length);
    expect(parseHeader(file.subarray(0, end), file.length)).toMatchObject({ tensors: parseHeader(file).tensors });
    expect(() => parseHeader(file.subarray(0, end))).toThrow('"file": expected ');
  });

  test("what cannot be written", () => {
    const f32 = (name: string, ...shape: number[]) => ({ name, dtype: "F32", shape });
    const refused = (code: string, ...tensors: TensorSpec[]) =>
      expect(() => serializeHeader(tensors, new Map())).toThrow(expect.objectContaining({ name: "RangeError", code }));
    refused("ERR_DUPLICATE_NAME", f32("a"), f32("b"), f32("a"));
    refused("ERR_DUPLICATE_NAME", f32("__metadata__"));
    refused("ERR_CHECKPOINT", { name: "a", dtype: "F31", shape: [] });
    refused("ERR_CHECKPOINT", { name: "a", dtype: "F4", shape: [3] });
    refused("ERR_CHECKPOINT", f32("a", 2 ** 30, 2 ** 30));
    refused("ERR_CHECKPOINT", f32("x".repeat(100_000_000)));
  });
});

import { type ErrorCode, fail, show } from "../checks/errors.js";
import { JsonReader } from "./json.js";
import { decodeUtf8, encodeUtf8 } from "./text.js";

/** Bits per element of every element type of the format that is known here. */
export const DTYPE_BITS: ReadonlyMap<string, number> = new Map([
  ...["F64", "I64", "U64", "C64"].map((dtype) => [dtype, 64] as const),
  ...["F32", "I32", "U32"].map((dtype) => [dtype, 32] as const),
  ...["F16", "BF16", "I16", "U16"].map((dtype) => [dtype, 16] as const),
  ...["BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E5M2FNUZ", "F8_E4M3FNUZ"].map(
    (dtype) => [dtype, 8] as const,
  ),
  ...["F6_E2M3", "F6_E3M2"].map((dtype) => [dtype, 6] as const),
  ["F4", 4],
]);

/** A type that a later version of the format may add. Bounded, because lists and messages show it. */
const DTYPE = /^[A-Z]\w{0,31}$/;

/** A tensor's element type and shape, and its bytes in the file: from `start`, up to and without `end`. */
export interface TensorEntry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly start: number;
  readonly end: number;
}

export interface Header {
  readonly metadata: ReadonlyMap<string, string>;
  /** By name, in the order of their bytes. */
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  /** Offset in the file of a metadata entry's value, after its quotation mark. */
  metadataOffset(key: string): number;
}

/** Bytes before the header. */
export const PREFIX = 8;
const LONGEST_HEADER = 100_000_000;
const METADATA = "__metadata__";
const ENTRY_KEYS = ["dtype", "shape", "data_offsets"];

/**
 * Offset of the data, read from a file's first bytes and checked against the length of the file.
 *
 * @throws RangeError `ERR_CHECKPOINT`
 */
export function headerEnd(start: Uint8Array, fileLength: number): number {
  if (start.length < PREFIX) invalid("file", "at least 8 bytes", String(start.length));
  const length = new DataView(start.buffer, start.byteOffset, PREFIX).getBigUint64(0, true);
  const most = Math.min(LONGEST_HEADER, fileLength - PREFIX);
  if (length > BigInt(most)) {
    const expected = `at most ${most} (of ${fileLength} bytes)`;
    invalid("header length", expected, `${length}: not a safetensors file, or cut off`);
  }
  return PREFIX + Number(length);
}

/**
 * The header of a safetensors file. Checked as strictly as the format demands: UTF-8, no repeated key, metadata of strings, as many
 * bytes as shape and type need, and data without gaps or overlaps from the end of the header to the end of the file. A type that is
 * not known is taken: its bytes can be told from their offsets.
 *
 * @param bytes the file, or its first `headerEnd` bytes
 * @throws RangeError `ERR_CHECKPOINT` naming what is wrong, and where
 */
export function parseHeader(bytes: Uint8Array, fileLength = bytes.length): Header {
  const dataStart = headerEnd(bytes, fileLength);
  const text = decode(new Uint8Array(bytes.subarray(PREFIX, dataStart)));
  if (text[0] !== "{") invalid("header", 'a first byte of "{"', show(text.slice(0, 1)));
  const metadata = new Map<string, string>();
  const positions = new Map<string, number>();
  const entries: [string, TensorEntry][] = [];
  const reader = new JsonReader("header", text);
  reader.object((name) => {
    if (name === METADATA) {
      reader.object((key) => {
        positions.set(key, reader.position + 1);
        metadata.set(key, reader.string());
      });
    } else {
      entries.push([name, readEntry(reader, name, dataStart)]);
    }
  });
  reader.end();

  entries.sort(([, a], [, b]) => a.start - b.start || a.end - b.end);
  let next = dataStart;
  for (const [name, { start, end }] of entries) {
    if (start !== next) {
      invalid(`${name}.data_offsets`, `data that begins at ${next - dataStart}`, String(start - dataStart));
    }
    next = end;
  }
  if (next !== fileLength) invalid("file", `${next} bytes, where the last tensor ends`, String(fileLength));
  return {
    metadata,
    tensors: new Map(entries),
    metadataOffset: (key) => PREFIX + encodeUtf8(text.slice(0, positions.get(key)!)).length,
  };
}

function decode(bytes: Uint8Array): string {
  try {
    return decodeUtf8(bytes);
  } catch (cause) {
    if ((cause as { code?: unknown }).code === ("ERR_HOST" satisfies ErrorCode)) throw cause;
    invalid("header", "UTF-8", "bytes that are not", cause);
  }
}

function readEntry(reader: JsonReader, name: string, dataStart: number): TensorEntry {
  let dtype: string | undefined;
  let shape: number[] | undefined;
  let offsets: number[] | undefined;
  const counts = () => reader.array(() => reader.count());
  reader.object((key) => {
    if (key === "dtype") dtype = reader.string();
    else if (key === "shape") shape = counts();
    else if (key === "data_offsets") offsets = counts();
    else reader.unknownKey(key, ENTRY_KEYS);
  });
  if (dtype === undefined) invalid(`${name}.dtype`, "an element type", "none");
  if (shape === undefined) invalid(`${name}.shape`, "an array of dimensions", "none");
  if (offsets?.length !== 2) invalid(`${name}.data_offsets`, "two offsets", String(offsets?.length ?? "none"));
  const [start, end] = offsets as [number, number];
  if (!DTYPE.test(dtype)) invalid(`${name}.dtype`, "the name of an element type", show(dtype));
  const bytes = DTYPE_BITS.has(dtype) ? byteLength(name, dtype, shape) : Math.max(0, end - start);
  if (end - start !== bytes) invalid(`${name}.data_offsets`, `${bytes} bytes for its shape`, `${start} to ${end}`);
  return { dtype, shape, start: dataStart + start, end: dataStart + end };
}

/** @throws RangeError `ERR_CHECKPOINT` for a header with a type that is not known */
export function checkTypes({ tensors }: Header): void {
  for (const [name, { dtype, shape }] of tensors) byteLength(name, dtype, shape);
}

/** Bytes of a tensor. @throws RangeError `ERR_CHECKPOINT` for a type that is not known, or a size past 2^53 or within a byte */
export function byteLength(name: string, dtype: string, shape: readonly number[]): number {
  const bits = DTYPE_BITS.get(dtype);
  if (bits === undefined) invalid(`${name}.dtype`, `one of ${[...DTYPE_BITS.keys()].join(", ")}`, show(dtype));
  let product = bits;
  for (const size of shape) {
    product *= size;
    if (product > Number.MAX_SAFE_INTEGER) invalid(`${name}.shape`, "fewer than 2^53 bits", "more");
  }
  if (product % 8 !== 0) invalid(`${name}.shape`, "a whole number of bytes", `${product} bits`);
  return product / 8;
}

/** A tensor to write. The bytes of all follow the header, in the order in which the tensors are listed. */
export interface TensorSpec {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
}

/**
 * A file's first bytes, padded with spaces so that the data begin on a multiple of 8.
 *
 * @throws RangeError `ERR_DUPLICATE_NAME`; `ERR_CHECKPOINT` for a type or a shape that `byteLength` refuses, and for more
 * than the format's 100 MB
 */
export function serializeHeader(tensors: Iterable<TensorSpec>, metadata: ReadonlyMap<string, string>): Uint8Array {
  let length = 0;
  // Counted piece by piece, because a string of JavaScript has no room for five times as much.
  const text = (value: unknown) => {
    const json = stringify(value);
    length += json.length;
    checkLength(length);
    return json;
  };
  const strings = [...metadata].map(([key, value]) => `${text(key)}:${text(value)}`);
  const members = [`"${METADATA}":{${strings.join(",")}}`];
  const names = new Set([METADATA]);
  let offset = 0;
  for (const { name, dtype, shape } of tensors) {
    if (names.has(name)) fail(RangeError, "ERR_DUPLICATE_NAME", name, "a name that no other tensor has", show(name));
    names.add(name);
    const end = offset + byteLength(name, dtype, shape);
    members.push(`${text(name)}:${text({ dtype, shape, data_offsets: [offset, end] })}`);
    offset = end;
  }
  const json = encodeUtf8(`{${members.join(",")}}`);
  length = Math.ceil(json.length / 8) * 8;
  checkLength(length);
  const header = new Uint8Array(PREFIX + length).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true);
  header.set(json, PREFIX);
  return header;
}

function stringify(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch (cause) {
    return tooLong("more than fits into a string", cause);
  }
}

function checkLength(length: number): void {
  if (length > LONGEST_HEADER) tooLong(String(length));
}

function tooLong(got: string, cause?: unknown): never {
  invalid("header length", `at most ${LONGEST_HEADER}`, got, cause);
}

function invalid(label: string, expected: string, got: string, cause?: unknown): never {
  fail(RangeError, "ERR_CHECKPOINT", label, expected, got, cause);
}

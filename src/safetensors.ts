/**
 * Any safetensors file: its tensors as bytes or as float32, and new ones. Weights that were trained elsewhere come in this way.
 *
 * @packageDocumentation
 */

import { joined } from "./checkpoint/allocate.js";
import { elementReader } from "./checkpoint/elements.js";
import {
  byteLength,
  DTYPE_BITS,
  parseHeader,
  serializeHeader,
  type TensorEntry,
  type TensorSpec,
} from "./checkpoint/safetensors.js";
import { checkText, checkTexts } from "./checkpoint/text.js";
import { checkFloat32Array, checkUint8Array } from "./checks/arrays.js";
import { typedArrayName } from "./checks/builtins.js";
import { fail, failType, show } from "./checks/errors.js";
import type { Bytes, Floats } from "./checks/libraries.js";
import { checkArray, checkCount, checkObject, checkRecord, own } from "./checks/values.js";

/** A tensor of a file. */
export interface SafetensorsTensor {
  /** The element type as the format spells it: "F32", "BF16", "I64", … Types that are not known here have their bytes all the same. */
  readonly dtype: string;
  /** Length of each dimension; none for a scalar. */
  readonly shape: readonly number[];
  /** Its elements, little-endian, row by row: a view of the bytes that were given, not a copy. */
  readonly bytes: Bytes;
  /**
   * A copy as float32. Exact for F32, BF16, F16, F8_E4M3, F8_E5M2, F8_E8M0, both FNUZ types, BOOL (0 and 1) and integers of up to 16 bits;
   * F64 and longer integers are rounded to nearest, ties to even.
   *
   * @throws TypeError `ERR_DTYPE` for a type that has no such values (complex numbers), whose order in a byte the format does not say (F4,
   * F6_E2M3, F6_E3M2), or that is not known; `ERR_DETACHED_BUFFER`; RangeError `ERR_OUT_OF_MEMORY`
   */
  toFloat32(): Floats;
}

/** What is in a file. */
export interface SafetensorsFile {
  /** The texts that come with the tensors. Most files have one, `format: "pt"`. */
  readonly metadata: Record<string, string>;
  /** By name, in the order of their bytes. */
  readonly tensors: Record<string, SafetensorsTensor>;
}

/** A tensor to write: float32 of one dimension, or with a shape; or any type, as `readSafetensors` gives it. */
export type SafetensorsSource =
  | Float32Array
  | {
      /** Length of each dimension. */
      readonly shape: readonly number[];
      /** Its elements, row by row. */
      readonly data: Float32Array;
    }
  | Pick<SafetensorsTensor, "dtype" | "shape" | "bytes">;

/** What is to be written. */
export interface SafetensorsContent {
  /** Texts beside the tensors. Default: none. PyTorch's libraries look for `format: "pt"`. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  /** By name. */
  readonly tensors: Readonly<Record<string, SafetensorsSource>>;
}

/**
 * The tensors and the metadata of a safetensors file. The whole header is checked before anything is returned: sizes against the file's own
 * length, data without gaps or overlaps. The tensors' bytes are views of `bytes`; they follow its changes.
 *
 * @throws RangeError `ERR_CHECKPOINT` for what is not a whole safetensors file, naming what is wrong and where; TypeError for what is not a
 * Uint8Array; Error `ERR_HOST` without `TextDecoder`
 * @example
 * import { AdamW } from "fused-adam";
 * import { readSafetensors, writeSafetensors } from "fused-adam/safetensors";
 *
 * const bytes = writeSafetensors({
 *   tensors: {
 *     w: {
 *       dtype: "BF16",
 *       shape: [2],
 *       bytes: Uint8Array.of(0x80, 0x3f, 0, 0xc0),
 *     },
 *   },
 * });
 * const { shape, toFloat32 } = readSafetensors(bytes).tensors.w!;
 * const optimizer = AdamW.createSync({ w: { shape, data: toFloat32() } });
 * console.log(optimizer.param("w").join()); // 1,-2
 */
export function readSafetensors(bytes: Uint8Array): SafetensorsFile {
  const file = checkUint8Array("bytes", bytes);
  const { metadata, tensors } = parseHeader(file);
  // `fromEntries` does not assign: a tensor may be called "__proto__".
  return {
    metadata: Object.fromEntries(metadata),
    tensors: Object.fromEntries(Array.from(tensors, ([name, entry]) => [name, tensorOf(name, entry, file)])),
  };
}

function tensorOf(
  name: string,
  { dtype, shape, start, end }: TensorEntry,
  file: Uint8Array<ArrayBuffer>,
): SafetensorsTensor {
  const bytes = file.subarray(start, end);
  return { dtype, shape, bytes, toFloat32: () => toFloat32(name, dtype, bytes) };
}

function toFloat32(name: string, dtype: string, bytes: Uint8Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  const read = elementReader(dtype);
  if (read === undefined) fail(TypeError, "ERR_DTYPE", name, "a type that has values in float32", dtype);
  checkUint8Array(name, bytes);
  try {
    // Aligned for every type, if need be by a copy.
    const values = read(bytes.byteOffset % 8 === 0 ? bytes : bytes.slice());
    if (values instanceof Float32Array && values.buffer !== bytes.buffer) return values as Float32Array<ArrayBuffer>;
    return new Float32Array(values);
  } catch (cause) {
    fail(
      RangeError,
      "ERR_OUT_OF_MEMORY",
      name,
      "as many bytes as the host grants",
      `${bytes.length} of ${dtype}`,
      cause,
    );
  }
}

/** A source, checked. */
interface Part extends TensorSpec {
  readonly bytes: Uint8Array;
}

/**
 * A safetensors file. Larger elements come first, so that all are aligned, as in files of the format's own writer; otherwise the order
 * is that of `tensors`.
 *
 * @throws TypeError for a wrong type; RangeError `ERR_SHAPE_MISMATCH` for values that do not fill their shape, `ERR_CHECKPOINT` for an
 * element type that the format does not have, `ERR_OUT_OF_RANGE` for half of a surrogate pair, `ERR_DUPLICATE_NAME` for the name `__metadata__`, `ERR_OUT_OF_MEMORY`; Error `ERR_HOST` without
 * `TextEncoder`
 * @example
 * import { writeSafetensors } from "fused-adam/safetensors";
 *
 * const data = new Float32Array([1, 2, 3, 4]);
 * const bytes = writeSafetensors({
 *   metadata: { format: "pt" },
 *   tensors: { w: { shape: [2, 2], data } },
 * });
 */
export function writeSafetensors(content: SafetensorsContent): Bytes {
  checkObject("content", content, ["metadata", "tensors"]);
  const metadata = checkTexts("metadata", own(content, "metadata") ?? {});
  const tensors = checkRecord("tensors", own(content, "tensors"), "an object with a tensor by each name");
  const parts = Object.entries(tensors).map(([name, source]) => checkSource(name, source));
  parts.sort((a, b) => DTYPE_BITS.get(b.dtype)! - DTYPE_BITS.get(a.dtype)!);
  const header = serializeHeader(parts, metadata);
  return joined("file", [header, ...parts.map(({ bytes }) => bytes)]);
}

const SOURCE = "a Float32Array, { shape, data }, or { dtype, shape, bytes }";

function checkSource(name: string, source: unknown): Part {
  checkText("tensors", name);
  if (typedArrayName(source) !== undefined) {
    const data = checkFloat32Array(name, source, SOURCE);
    return float32(name, [data.length], data);
  }
  const record = checkRecord(name, source, SOURCE) as object;
  const [shape, data, dtype, bytes] = ["shape", "data", "dtype", "bytes"].map((key) => own(record, key));
  checkObject(name, record, data === undefined ? ["dtype", "shape", "bytes", "toFloat32"] : ["shape", "data"]);
  const lengths = checkArray(`${name}.shape`, shape, "an array of lengths").map((length, i) =>
    checkCount(`${name}.shape[${i}]`, length),
  );
  if (data !== undefined) return float32(name, lengths, checkFloat32Array(`${name}.data`, data));
  if (typeof dtype !== "string") failType(`${name}.dtype`, "a string", dtype);
  const elements = checkUint8Array(`${name}.bytes`, bytes);
  const expected = byteLength(name, dtype, lengths);
  if (elements.length !== expected) failLength(`${name}.bytes`, `${expected} bytes for its shape`, elements.length);
  return { name, dtype, shape: lengths, bytes: elements };
}

function float32(name: string, shape: readonly number[], data: Float32Array): Part {
  const expected = byteLength(name, "F32", shape);
  if (data.byteLength !== expected) failLength(`${name}.data`, `${expected / 4} values for its shape`, data.length);
  return { name, dtype: "F32", shape, bytes: new Uint8Array(data.buffer, data.byteOffset, expected) };
}

function failLength(label: string, expected: string, length: number): never {
  fail(RangeError, "ERR_SHAPE_MISMATCH", label, expected, show(length));
}

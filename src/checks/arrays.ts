import { fail, failType, show } from "./errors.js";

const typedArray = Object.getPrototypeOf(Uint8Array.prototype);
const internal =
  <T>(key: PropertyKey) =>
  (value: unknown): T =>
    Object.getOwnPropertyDescriptor(typedArray, key)!.get!.call(value);

/** What an array is, has and where, whatever properties somebody put on it; by tag, so another realm's arrays count. */
const tagOf = internal<string | undefined>(Symbol.toStringTag);
const bufferOf = internal<ArrayBuffer>("buffer");
const offsetOf = internal<number>("byteOffset");
const lengthOf = internal<number>("length");

/**
 * The array's own window as a plain view.
 *
 * @throws TypeError `ERR_DETACHED_BUFFER` for an array whose elements are gone: its length reads 0, like a legal empty one's
 */
export function checkFloat32Array(label: string, value: unknown, expected = "a Float32Array"): Float32Array {
  const tag = tagOf(value);
  if (tag === undefined) failType(label, expected, value);
  if (tag !== "Float32Array") fail(TypeError, "ERR_INVALID_TYPE", label, expected, `a ${tag}`);
  try {
    // Any typed-array method throws on a detached or shrunk-away buffer; `buffer.detached` is missing in Node 20.
    Float32Array.prototype.at.call(value, 0);
  } catch (cause) {
    const got = "one whose buffer is detached or too short";
    fail(TypeError, "ERR_DETACHED_BUFFER", label, "a Float32Array that has its elements", got, cause);
  }
  return new Float32Array(bufferOf(value), offsetOf(value), lengthOf(value));
}

/** Index of the first element that is NaN or infinite (or negative, where `signed` is false), or -1. */
function findInvalid(values: Float32Array, signed: boolean): number {
  const least = signed ? -Infinity : 0;
  for (let i = 0; i < values.length; i++) {
    const x = values[i]!;
    if (!(x >= least && x < Infinity && x > -Infinity)) return i;
  }
  return -1;
}

export function checkFinite(label: string, values: Float32Array, signed: boolean): void {
  const index = findInvalid(values, signed);
  if (index >= 0) {
    const expected = signed ? "finite values" : "finite values >= 0";
    fail(RangeError, "ERR_NON_FINITE", label, expected, `${show(values[index])} at index ${index}`);
  }
}

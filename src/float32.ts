import { fail, failType, show } from "./errors.js";

const tagOf = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag)!.get!;

/** By internal tag: an array of another realm (an iframe, a vm context) counts, an object that only looks like one does not. */
export function isFloat32Array(value: unknown): value is Float32Array {
  return tagOf.call(value) === "Float32Array";
}

/** @throws TypeError `ERR_DETACHED_BUFFER` for an array whose elements are gone: its length reads 0, like a legal empty one's */
export function checkFloat32Array(label: string, value: unknown, expected = "a Float32Array"): Float32Array {
  if (!isFloat32Array(value)) {
    const tag = tagOf.call(value) as string | undefined;
    if (tag === undefined) failType(label, expected, value);
    fail(TypeError, "ERR_INVALID_TYPE", label, expected, `a ${tag}`);
  }
  try {
    // Any typed-array method throws on a detached or shrunk-away buffer; `buffer.detached` is missing in Node 20.
    Float32Array.prototype.at.call(value, 0);
  } catch (cause) {
    const got = "one whose buffer is detached or too short";
    fail(TypeError, "ERR_DETACHED_BUFFER", label, "a Float32Array that has its elements", got, cause);
  }
  return value;
}

/** Index of the first element that is NaN or infinite (or negative, where `signed` is false), or -1. */
export function findInvalid(values: Float32Array, signed: boolean): number {
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

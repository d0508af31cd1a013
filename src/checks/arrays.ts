import { bufferOf, lengthOf, offsetOf, typedArrayName } from "./builtins.js";
import { fail, failType, show } from "./errors.js";

/**
 * The array's own window as a plain view.
 *
 * @throws TypeError `ERR_DETACHED_BUFFER` for an array whose elements are gone: its length reads 0, like a legal empty one's
 */
export function checkFloat32Array(label: string, value: unknown, expected = "a Float32Array"): Float32Array {
  return checkTypedArray(Float32Array, label, value, expected);
}

/** As `checkFloat32Array`. Node's Buffer is one. */
export function checkUint8Array(label: string, value: unknown): Uint8Array<ArrayBuffer> {
  return checkTypedArray(Uint8Array<ArrayBuffer>, label, value, "a Uint8Array");
}

/** As `checkFloat32Array`, of another class. */
export function checkTypedArray<T>(
  View: { new (buffer: ArrayBuffer, byteOffset: number, length: number): T; readonly name: string },
  label: string,
  value: unknown,
  expected: string,
): T {
  if (typedArrayName(value) !== View.name) failType(label, expected, value);
  try {
    // Any typed-array method throws on a detached or shrunk-away buffer; `buffer.detached` is missing in Node 20.
    Float32Array.prototype.at.call(value as Float32Array, 0);
  } catch (cause) {
    const got = "one whose buffer is detached or too short";
    fail(TypeError, "ERR_DETACHED_BUFFER", label, `${expected} that has its elements`, got, cause);
  }
  return new View(bufferOf(value), offsetOf(value), lengthOf(value));
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

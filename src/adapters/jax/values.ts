import { type Device, defaultDevice, type Array as JaxArray, numpy } from "@jax-js/jax";
import { fail } from "../../checks/errors.js";
import { at, type Flat } from "./leaves.js";

/** Values of leaf `i`, as a copy; the reference stays the caller's. @throws Error `ERR_UNREADABLE` */
export function read(flat: Flat, i: number): Float32Array {
  const leaf = flat.leaves[i]!;
  const references = leaf.refCount;
  try {
    return leaf.ref.dataSync() as Float32Array;
  } catch (cause) {
    while (leaf.refCount > references) leaf.dispose();
    const expected = "values that can be read at once (await blockUntilReady first, or devicePut to wasm)";
    fail(Error, "ERR_UNREADABLE", at(flat, i), expected, String(cause), cause);
  }
}

/** Arrays like these, with copies of other values. All of them or none. */
export function arraysOf(
  like: readonly { readonly shape: number[]; readonly device: Device }[],
  values: (i: number) => Float32Array,
): JaxArray[] {
  const made: JaxArray[] = [];
  try {
    for (const [i, { shape, device }] of like.entries()) made.push(arrayOf(values(i), shape, device));
  } catch (error) {
    for (const array of made) array.dispose();
    throw error;
  }
  return made;
}

function arrayOf(values: Float32Array, shape: number[], device: Device): JaxArray {
  // Naming a device would bind the array to it; jax-js leaves those on the default device free to move.
  const options = { shape, dtype: numpy.float32, ...(device !== defaultDevice() && { device }) };
  // jax-js takes an array of no elements for one of equal elements, and looks at the first.
  return values.length === 0 ? numpy.zeros(shape, options) : numpy.array(values as Float32Array<ArrayBuffer>, options);
}

/** What leads from `before` to `after`, in place of `before`. Where they are equal it is -0, which changes no bit when it is added. */
export function differences(before: Float32Array, after: Float32Array): Float32Array {
  for (let i = 0; i < before.length; i++) before[i] = -(before[i]! - after[i]!);
  return before;
}

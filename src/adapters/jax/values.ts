import { type Device, defaultDevice, type Array as JaxArray, numpy } from "@jax-js/jax";
import { fail } from "../../checks/errors.js";
import { type Flat, labelOf } from "./leaves.js";

/** A copy of the values of leaf `i`. Its reference is not used up. @throws Error `ERR_UNREADABLE` */
export function read(flat: Flat, i: number): Float32Array {
  const leaf = flat.leaves[i]!;
  const references = leaf.refCount;
  try {
    return leaf.ref.dataSync() as Float32Array;
  } catch (cause) {
    while (leaf.refCount > references) leaf.dispose();
    const expected = "values that can be read at once (await blockUntilReady first, or devicePut to wasm)";
    fail(Error, "ERR_UNREADABLE", labelOf(flat, i), expected, String(cause), cause);
  }
}

/** Arrays of the same shapes and devices with copies of other values. If one cannot be made, none are. */
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
  // Only where needed: naming a device binds the array to it, and jax-js may move the others.
  const options = { shape, dtype: numpy.float32, ...(device !== defaultDevice() && { device }) };
  // jax-js checks whether all elements are equal to the first, of which an empty array has none.
  return values.length === 0 ? numpy.zeros(shape, options) : numpy.array(values as Float32Array<ArrayBuffer>, options);
}

/** after − before, written over `before`. -0 where they are equal, because adding -0 changes no bit. */
export function differences(before: Float32Array, after: Float32Array): Float32Array {
  for (let i = 0; i < before.length; i++) before[i] = -(before[i]! - after[i]!);
  return before;
}

import { nearest } from "../shared/halves.js";

/** Rounds every value in place to the nearest that a bfloat16 can hold. */
export function roundToNearest(values: Float32Array): void {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (const [i, half] of nearest("bfloat16", values).entries()) bits[i] = half << 16;
}

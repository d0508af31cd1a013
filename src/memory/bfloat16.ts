/** Each value as a float32, which holds it exactly. */
export function widened(values: Uint16Array): Float32Array {
  const bits = new Uint32Array(values.length);
  for (let i = 0; i < bits.length; i++) bits[i] = values[i]! << 16;
  return new Float32Array(bits.buffer);
}

/** Moments as they are stored, float32 or bfloat16, as float32. */
export function asFloat32(values: Float32Array | Uint16Array): Float32Array {
  return values instanceof Float32Array ? values : widened(values);
}

/** Rounds to nearest, ties to even. @param bits of a float32, from 0 to 2^32 - 1 */
export function toBfloat16(bits: number): number {
  return (bits & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

/** Each value rounded so. */
export function nearest(values: Float32Array): Uint16Array {
  return Uint16Array.from(new Uint32Array(values.slice().buffer), toBfloat16);
}

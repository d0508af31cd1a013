/** The nearest bfloat16 of every value, ties to even: the upper half of its bits. For finite values. */
export function nearest(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const rounded = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) rounded[i] = (bits[i]! + 0x7fff + ((bits[i]! >>> 16) & 1)) >>> 16;
  return rounded;
}

/** Rounds every value in place to the nearest that a bfloat16 can hold. */
export function roundToNearest(values: Float32Array): void {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (const [i, half] of nearest(values).entries()) bits[i] = half << 16;
}

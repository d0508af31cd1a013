const QUIET_NAN = 0x7fc00000;

/** Whether these are the bits of a float32 NaN. */
export function isNaNBits(bits: number): boolean {
  return (bits & 0x7fffffff) > 0x7f800000;
}

/** The bits of float32 values, every NaN made the same one: payloads are all that is not promised. */
export function bitsOf(values: Float32Array): Uint32Array {
  const bits = new Uint32Array(values.length);
  bits.set(new Uint32Array(values.buffer, values.byteOffset, values.length));
  for (let i = 0; i < bits.length; i++) if (isNaNBits(bits[i]!)) bits[i] = QUIET_NAN;
  return bits;
}

/** Index of the first element whose bits differ, NaN payloads aside, or -1. */
export function firstDifference(actual: Float32Array, expected: Float32Array): number {
  const a = bitsOf(actual);
  const b = bitsOf(expected);
  for (let i = 0; i < Math.max(a.length, b.length); i++) if (a[i] !== b[i]) return i;
  return -1;
}

/** @throws Error that names the first differing index, and both values with their bits */
export function expectSameBits(label: string, actual: Float32Array, expected: Float32Array): void {
  const i = firstDifference(actual, expected);
  if (i < 0) return;
  const of = `${actual.length}${actual.length === expected.length ? "" : ` (expected ${expected.length})`}`;
  throw new Error(`${label}: element ${i} of ${of} is ${showFloat(actual[i])}, expected ${showFloat(expected[i])}`);
}

export function showFloat(value: number | undefined): string {
  if (value === undefined) return "missing";
  const bits = new Uint32Array(new Float32Array([value]).buffer)[0]!;
  return `${Object.is(value, -0) ? "-0" : value} (0x${bits.toString(16).padStart(8, "0")})`;
}

/** 0 < |x| < 2^-126 */
export function isSubnormal(x: number): boolean {
  return x !== 0 && Math.abs(x) < 2 ** -126;
}

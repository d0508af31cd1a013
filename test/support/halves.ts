/** The formats of 16 bits by their definitions, for tests: nothing of it is shared with src/ or assembly/. */
import { fromBfloat16 } from "../reference.js";

export const PATTERNS = 65536;
export type Half = "float16" | "bfloat16";

/** IEEE 754 binary16: the value of a pattern. */
function fromFloat16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = (bits & 1023) / 1024;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : Number.NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -14 : (1 + fraction) * 2 ** (exponent - 15));
}

/** The value of every pattern, each of which a float32 holds. */
export const VALUES: Readonly<Record<Half, Float32Array>> = {
  float16: Float32Array.from({ length: PATTERNS }, (_, bits) => fromFloat16(bits)),
  bfloat16: Float32Array.from({ length: PATTERNS }, (_, bits) => fromBfloat16(bits)),
};

/** The pattern of +infinity: that of the largest number, plus one. */
const INFINITE = { float16: 0x7c00, bfloat16: 0x7f80 };
const NOT_A_NUMBER = { float16: 0x7e00, bfloat16: 0x7fc0 };
/** What the next larger number would be if exponents went on: numbers from half way to it on become infinity. */
const BEYOND = { float16: 2 ** 16, bfloat16: 2 ** 128 };

/** The pattern of the nearest number, of the even one of two, found by search among all of them. */
export function nearestPattern(format: Half, x: number): number {
  if (Number.isNaN(x)) return NOT_A_NUMBER[format];
  const sign = x < 0 || Object.is(x, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(x);
  const at = (pattern: number) => (pattern === INFINITE[format] ? BEYOND[format] : VALUES[format][pattern]!);
  if (magnitude >= BEYOND[format]) return sign | INFINITE[format];
  let below = 0;
  for (let above = INFINITE[format]; above - below > 1; ) {
    const middle = (above + below) >> 1;
    if (at(middle) <= magnitude) below = middle;
    else above = middle;
  }
  const [down, up] = [magnitude - at(below), at(below + 1) - magnitude];
  return sign | (down < up || (down === up && below % 2 === 0) ? below : below + 1);
}

/** The bits of the nearest numbers; the numbers that bits are; the nearest numbers. */
export function encoded(format: Half, values: ArrayLike<number>): Uint16Array {
  return Uint16Array.from(values, (x) => nearestPattern(format, x));
}
export function decoded(format: Half, bits: ArrayLike<number>): Float32Array {
  return Float32Array.from(bits, (pattern) => VALUES[format][pattern]!);
}
export function rounded(format: Half, values: ArrayLike<number>): Float32Array {
  return decoded(format, encoded(format, values));
}

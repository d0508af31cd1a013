import {
  add,
  addInt,
  and,
  anyNaN,
  dot16,
  kept,
  load,
  maxInt,
  nothing,
  or,
  pack,
  packSigns,
  shiftRight,
  smaller,
  store16,
  subInt,
} from "./lane";
import { BFLOAT16_NAN, Format, orNaN } from "./storage";

const FLOAT16_NAN: i16 = 0x7e00;

/** Leaves parameters at `copies` as well, in 16 bits, rounded to nearest, ties to even. */
export function copy(format: Format, params: usize, copies: usize, length: usize): void {
  if (format === Format.Bfloat16) run(Format.Bfloat16, params, copies, length);
  else run(Format.Float16, params, copies, length);
}

// @ts-expect-error: decorator
@inline
function run(format: Format, params: usize, copies: usize, length: usize): void {
  const none = nothing(length);
  const one = kept(1, none);
  const half = kept(0x7fff, none);
  const magnitude = kept(0x7fffffff, none);
  const largest = kept(143 << 23, none);
  const exponent = kept(0xff << 23, none);
  const smallest = kept(113 << 23, none);
  const power = kept(13 << 23, none);
  const halves = kept((1 << 19) | 1, none);
  const bias = kept(126 << 10, none);
  for (; length >= 16; length -= 16) {
    eight<v128>(format, params, copies, one, half, magnitude, largest, exponent, smallest, power, halves, bias);
    eight<v128>(
      format,
      params + 32,
      copies + 16,
      one,
      half,
      magnitude,
      largest,
      exponent,
      smallest,
      power,
      halves,
      bias,
    );
    params += 64;
    copies += 32;
  }
  for (; length > 0; length--) {
    eight<f32>(format, params, copies, one, half, magnitude, largest, exponent, smallest, power, halves, bias);
    params += 4;
    copies += 2;
  }
}

/** Eight parameters, or one. The vectors are those of `toBfloat16` and `toFloat16`. */
// @ts-expect-error: decorator
@inline
function eight<T>(
  format: Format,
  params: usize,
  copies: usize,
  one: v128,
  half: v128,
  magnitude: v128,
  largest: v128,
  exponent: v128,
  smallest: v128,
  power: v128,
  halves: v128,
  bias: v128,
): void {
  const x = load<T>(params);
  const y = isVector<T>() ? load<T>(params, 16) : x;
  let bits: v128;
  if (format === Format.Bfloat16) bits = pack(toBfloat16(x, one, half), toBfloat16(y, one, half));
  else {
    const shortX = toFloat16(x, magnitude, largest, exponent, smallest, power, halves, bias);
    const shortY = toFloat16(y, magnitude, largest, exponent, smallest, power, halves, bias);
    bits = or(pack(shortX, shortY), packSigns(x, y));
  }
  // The sum is NaN if a part is, and hardly ever else.
  if (anyNaN(add(x, y))) bits = orNaN(format === Format.Bfloat16 ? BFLOAT16_NAN : FLOAT16_NAN, x, y, bits);
  store16<T>(copies, bits);
}

/** @param half of what is cut off, less 1 */
// @ts-expect-error: decorator
@inline
function toBfloat16(x: v128, one: v128, half: v128): v128 {
  return shiftRight(addInt(x, addInt(and(shiftRight(x, 16), one), half)), 16);
}

/**
 * Without the sign. A number is added to x that is 2^13 times x's power of two, so that the sum, rounded as every sum is, keeps no more bits of x
 * than float16 does. Below the smallest normal float16 it stays the same, as the step between two numbers of float16 does. The lower
 * half of the sum's bits is x's mantissa then, its leading 1 included, which makes the exponent one larger; the upper half is 2^7 times the
 * exponent, which the result has 2^10 times.
 *
 * @param magnitude all bits but the sign
 * @param largest 65536, which stands for all that is too large
 * @param exponent the bits of the exponent
 * @param smallest 2^-14
 * @param power 13 in the exponent
 * @param halves 1 for the lower half, 2^3 for the upper
 * @param bias the difference of the exponents
 */
// @ts-expect-error: decorator
@inline
function toFloat16(
  x: v128,
  magnitude: v128,
  largest: v128,
  exponent: v128,
  smallest: v128,
  power: v128,
  halves: v128,
  bias: v128,
): v128 {
  const clipped = smaller(and(x, magnitude), largest);
  const sum = add(clipped, addInt(maxInt(and(clipped, exponent), smallest), power));
  return subInt(dot16(sum, halves), bias);
}

import {
  abs,
  add,
  addInt,
  and,
  clear,
  isNumber,
  load,
  load16,
  loadSigned16,
  maxInt,
  mul,
  mulInt,
  or,
  pack,
  packMasks,
  packSigns,
  shiftLeft,
  shiftRight,
  smaller,
  splat,
  splat16,
  splatInt,
  store,
  store16,
  sub,
  subInt,
} from "./lane";

/** How numbers lie in memory: the words of `FORMATS` in src/memory/formats.ts, in their order. */
export const enum Format {
  Float32,
  Float16,
  Bfloat16,
}

const BFLOAT16_NAN: i16 = 0x7fc0;
const FLOAT16_NAN: i16 = 0x7e00;
/** An odd number near 2^32 / φ: a product with it has high bits that depend on all bits of the other factor. */
const SPREAD: i32 = 0x9e3779b1;

/** How many bytes elements take that take so many as float32. */
// @ts-expect-error: decorator
@inline
export function bytes(format: Format, asFloat32: usize): usize {
  return format === Format.Float32 ? asFloat32 : asFloat32 >> 1;
}

/** Widened to float32, which is exact. */
// @ts-expect-error: decorator
@inline
export function read<T>(format: Format, ptr: usize): v128 {
  if (format === Format.Float32) return load<T>(ptr);
  return format === Format.Bfloat16 ? shiftLeft(load16<T>(ptr), 16) : fromFloat16(loadSigned16<T>(ptr));
}

/**
 * 2^-112 takes the difference of the biases out of the exponent, and leaves infinities and NaN what they are. A number that is
 * subnormal has no leading 1. With one it is n = 2^-15 + value / 2, so the value is n + (n - 2^-14); of all others, that is not less
 * than n. No operand is a subnormal float32, which some processors are slow with.
 *
 * @param x with the sign in all upper bits
 */
// @ts-expect-error: decorator
@inline
function fromFloat16(x: v128): v128 {
  const biased = addInt(shiftRight(shiftLeft(x, 17), 4), splatInt(224 << 23));
  const n = mul(biased, splat(1.925929944387236e-34));
  const value = smaller(n, add(n, sub(n, splat(6.103515625e-5))));
  return or(value, and(x, splatInt(1 << 31)));
}

// @ts-expect-error: decorator
@inline
export function zero<T>(format: Format, ptr: usize): void {
  if (format === Format.Float32) store<T>(ptr, splat(0));
  else store16<T>(ptr, splat(0), false);
}

/** Eight times 16 bits, made of x and y; `nan` where these are NaN. */
// @ts-expect-error: decorator
@inline
function orNaN(nan: i16, x: v128, y: v128, bits: v128): v128 {
  const numbers = packMasks(isNumber(x), isNumber(y));
  return or(and(bits, numbers), clear(splat16(nan), numbers));
}

/** Stores eight numbers, or of x the first one, in a format of 16 bits, rounded to nearest, ties to even. */
// @ts-expect-error: decorator
@inline
export function writeNearest<T>(format: Format, ptr: usize, x: v128, y: v128): void {
  const both =
    format === Format.Bfloat16
      ? orNaN(BFLOAT16_NAN, x, y, pack(toBfloat16(x), toBfloat16(y)))
      : orNaN(FLOAT16_NAN, x, y, or(pack(toFloat16(x), toFloat16(y)), packSigns(x, y)));
  if (isVector<T>()) store<v128>(ptr, both);
  else store16<f32>(ptr, both, false);
}

// @ts-expect-error: decorator
@inline
function toBfloat16(x: v128): v128 {
  const odd = and(shiftRight(x, 16), splatInt(1));
  return shiftRight(addInt(x, addInt(odd, splatInt(0x7fff))), 16);
}

/**
 * Without the sign. A number is added to x that is 2^13 times x's power of two, so that the sum, rounded as every sum is, keeps no more bits of x
 * than float16 does. Below the smallest normal float16 it stays the same, as the step between two numbers of float16 does. What is left of the
 * sum is x's mantissa, its leading 1 included, which makes the exponent one larger. 65536 stands for all that is too large.
 */
// @ts-expect-error: decorator
@inline
function toFloat16(x: v128): v128 {
  const magnitude = smaller(abs(x), splat(65536));
  const exponent = maxInt(subInt(and(magnitude, splatInt(0xff << 23)), splatInt(113 << 23)), splatInt(0));
  const large = addInt(exponent, splatInt(126 << 23));
  return addInt(subInt(add(magnitude, large), large), shiftRight(exponent, 13));
}

/**
 * Stores moments as bfloat16, stochastically rounded: each goes up with a probability that grows with what is cut off, so that on
 * average nothing is lost. The random bits follow from m, which no two elements have alike for long, and from the step. So they do not
 * depend on where an element lies or who computes it.
 */
// @ts-expect-error: decorator
@inline
export function writeMoments<T>(
  amsgrad: bool,
  m: v128,
  v: v128,
  vMax: v128,
  seed: v128,
  expAvg: usize,
  expAvgSq: usize,
  maxExpAvgSq: usize,
): void {
  const hash = mulInt(addInt(m, seed), splatInt(SPREAD));
  const upper = shiftRight(hash, 16);
  const shortM = shiftRight(addInt(m, and(hash, splatInt(0xffff))), 16);
  const shortV = shiftRight(addInt(v, upper), 16);
  const both = orNaN(BFLOAT16_NAN, m, v, pack(shortM, shortV));
  store16<T>(expAvg, both, false);
  store16<T>(expAvgSq, both, true);
  // A vMax that is kept has no bits to be cut off, and stays as it is.
  if (amsgrad) {
    const shortMax = shiftRight(addInt(vMax, upper), 16);
    store16<T>(maxExpAvgSq, orNaN(BFLOAT16_NAN, vMax, vMax, pack(shortMax, shortMax)), false);
  }
}

/** Stores what is a bfloat16 already. */
// @ts-expect-error: decorator
@inline
export function writeExact<T>(ptr: usize, x: v128): void {
  const short = shiftRight(x, 16);
  store16<T>(ptr, pack(short, short), false);
}

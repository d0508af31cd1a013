import {
  add,
  addInt,
  and,
  anyNaN,
  clear,
  isNumber,
  load,
  loadUpper16,
  mul,
  mulInt,
  or,
  pack,
  packMasks,
  shiftLeft,
  shiftRight,
  smaller,
  splat,
  splat16,
  store,
  store16,
  sub,
} from "./lane";

/** How numbers lie in memory: the words of `FORMATS` in src/memory/formats.ts, in their order. */
export const enum Format {
  Float32,
  Float16,
  Bfloat16,
}

export const BFLOAT16_NAN: i16 = 0x7fc0;

/** Literals that `writeMoments` needs, `kept`. */
export const enum Rounding {
  /** An odd number near 2^32 / φ: a product with it has high bits that depend on all bits of the other factor. */
  Spread = 0x9e3779b1,
  Low = 0xffff,
}

/** How many bytes elements take that take so many as float32. */
// @ts-expect-error: decorator
@inline
export function bytes(format: Format, asFloat32: usize): usize {
  return format === Format.Float32 ? asFloat32 : asFloat32 >> 1;
}

/** Literals that `read` needs for float16, `kept`. The last three are float32: 2^98, 2^-112 and -0. */
export const enum Widening {
  /** 2 · 112 in the exponent. */
  Bias = 224 << 23,
  Gap = 225 << 23,
  Scale = 15 << 23,
  Sign = 1 << 31,
}

/** As `read`, of a format that moments have. */
// @ts-expect-error: decorator
@inline
export function readMoment<T>(format: Format, ptr: usize, last: bool): v128 {
  return format === Format.Float32 ? load<T>(ptr, last ? 16 : 0) : loadUpper16<T>(ptr, last);
}

/** The first or the last four of eight numbers, or a single one, widened to float32, which is exact. */
// @ts-expect-error: decorator
@inline
export function read<T>(format: Format, ptr: usize, last: bool, bias: v128, gap: v128, scale: v128, sign: v128): v128 {
  if (format !== Format.Float16) return readMoment<T>(format, ptr, last);
  return fromFloat16(loadUpper16<T>(ptr, last), bias, gap, scale, sign);
}

/**
 * A float32's exponent is 112 more than a float16's. It is made 224 more, so that infinities and NaN are what they are, and then scaled.
 * A number that is subnormal has no leading 1. With one it is b = 2^97 + value / 2, so the value is b + (b - 2^98); of all others, that is
 * not less than b. No operand is a subnormal float32, which some processors are slow with.
 *
 * @param x in the upper half of the bits
 */
// @ts-expect-error: decorator
@inline
function fromFloat16(x: v128, bias: v128, gap: v128, scale: v128, sign: v128): v128 {
  const b = or(shiftRight(shiftLeft(x, 1), 4), bias);
  return or(mul(smaller(b, add(b, sub(b, gap))), scale), and(x, sign));
}

/** Sets eight numbers, or the first, to 0. */
// @ts-expect-error: decorator
@inline
export function zero<T>(format: Format, ptr: usize): void {
  if (format === Format.Float32) {
    store<T>(ptr, splat(0));
    if (isVector<T>()) store<T>(ptr, splat(0), 16);
  } else store16<T>(ptr, splat(0));
}

/** Eight times 16 bits, made of x and y; `nan` where these are NaN. */
// @ts-expect-error: decorator
@inline
export function orNaN(nan: i16, x: v128, y: v128, bits: v128): v128 {
  const numbers = packMasks(isNumber(x), isNumber(y));
  return or(and(bits, numbers), clear(splat16(nan), numbers));
}

/**
 * Stores moments as bfloat16, stochastically rounded: each goes up with a probability that grows with what is cut off, so that on
 * average nothing is lost. The random bits follow from m, which no two elements have alike for long, and from the step. So they do not
 * depend on where an element lies or who computes it.
 *
 * Sums are NaN if a part is, and hardly ever else, so that a NaN costs time only where there is one.
 */
// @ts-expect-error: decorator
@inline
export function writeMoments<T>(
  amsgrad: bool,
  m: v128,
  v: v128,
  vMax: v128,
  nextM: v128,
  nextV: v128,
  nextMax: v128,
  seed: v128,
  spread: v128,
  low: v128,
  expAvg: usize,
  expAvgSq: usize,
  maxExpAvgSq: usize,
): void {
  const hash = mulInt(addInt(m, seed), spread);
  const nextHash = mulInt(addInt(nextM, seed), spread);
  let shortM = cut(addInt(m, and(hash, low)), addInt(nextM, and(nextHash, low)));
  const upper = shiftRight(hash, 16);
  const nextUpper = shiftRight(nextHash, 16);
  let shortV = cut(addInt(v, upper), addInt(nextV, nextUpper));
  const isOdd = anyNaN(add(add(m, vMax), add(nextM, nextMax)));
  if (isOdd) {
    shortM = orNaN(BFLOAT16_NAN, m, nextM, shortM);
    shortV = orNaN(BFLOAT16_NAN, v, nextV, shortV);
  }
  store16<T>(expAvg, shortM);
  store16<T>(expAvgSq, shortV);
  // A vMax that is kept has no bits to be cut off, and stays as it is.
  if (amsgrad) {
    let shortMax = cut(addInt(vMax, upper), addInt(nextMax, nextUpper));
    if (isOdd) shortMax = orNaN(BFLOAT16_NAN, vMax, nextMax, shortMax);
    store16<T>(maxExpAvgSq, shortMax);
  }
}

/** The upper halves. */
// @ts-expect-error: decorator
@inline
function cut(x: v128, y: v128): v128 {
  return pack(shiftRight(x, 16), shiftRight(y, 16));
}

/** Stores eight numbers, or of x the first one, that are bfloat16 already. */
// @ts-expect-error: decorator
@inline
export function writeExact<T>(ptr: usize, x: v128, y: v128): void {
  store16<T>(ptr, cut(x, y));
}

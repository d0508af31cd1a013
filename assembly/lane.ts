/**
 * The operations that kernels are written in. No other file names an instruction.
 *
 * A value is always a vector of four float32. `T` says what lies in memory: four neighbours (`v128`), or a single one (`f32`), which
 * is then in the first lane. So the last few elements of an array go through the same instructions as all others, and round alike.
 */

/** Smallest normal float32. */
const MIN_NORMAL: f32 = 1.1754943508222875e-38;

// @ts-expect-error: decorator
@inline
export function splat(x: f32): v128 {
  return f32x4.splat(x);
}

// @ts-expect-error: decorator
@inline
export function load<T>(ptr: usize, offset: usize = 0): v128 {
  return isVector<T>() ? v128.load(ptr + offset) : v128.load32_zero(ptr + offset);
}

// @ts-expect-error: decorator
@inline
export function store<T>(ptr: usize, x: v128, offset: usize = 0): void {
  if (isVector<T>()) v128.store(ptr + offset, x);
  else v128.store_lane<f32>(ptr + offset, x, 0);
}

/**
 * The first or the last four of eight neighbours of 16 bits, or a single one, as the upper halves of 32 bits; the lower halves are 0, and so is
 * what is not there.
 */
// @ts-expect-error: decorator
@inline
export function loadUpper16<T>(ptr: usize, last: bool): v128 {
  const zero = i32x4.splat(0);
  const x = isVector<T>() ? v128.load(ptr) : v128.load_lane<u16>(ptr, zero, 0);
  return last
    ? v128.shuffle<u16>(zero, x, 4, 12, 5, 13, 6, 14, 7, 15)
    : v128.shuffle<u16>(zero, x, 0, 8, 1, 9, 2, 10, 3, 11);
}

/** Stores eight neighbours of 16 bits, or the first. */
// @ts-expect-error: decorator
@inline
export function store16<T>(ptr: usize, x: v128): void {
  if (isVector<T>()) v128.store(ptr, x);
  else v128.store_lane<u16>(ptr, x, 0);
}

/** Eight integers of 16 bits, of two times four of 32 bits that are all below 2^16. */
// @ts-expect-error: decorator
@inline
export function pack(a: v128, b: v128): v128 {
  return i16x8.narrow_i32x4_u(a, b);
}

/** As `pack`, of masks. */
// @ts-expect-error: decorator
@inline
export function packMasks(a: v128, b: v128): v128 {
  return i16x8.narrow_i32x4_s(a, b);
}

/** Eight times the sign bit, and no other, of two times four float32 that are not NaN. Integers that are too small become -2^15. */
// @ts-expect-error: decorator
@inline
export function packSigns(a: v128, b: v128): v128 {
  return v128.and(i16x8.narrow_i32x4_s(a, b), i16x8.splat(-0x8000));
}

// @ts-expect-error: decorator
@inline
export function splatInt(x: i32): v128 {
  return i32x4.splat(x);
}

/** 0, which no engine can know: elements of a region are fewer than 2^30. */
// @ts-expect-error: decorator
@inline
export function nothing(length: usize): i32 {
  return <i32>(length >>> 30);
}

/**
 * As `splatInt`, for a literal that a loop uses. Engines make a vector of literals anew wherever it is used, in up to three instructions, but
 * keep one that depends on an argument.
 *
 * @param none what `nothing` returns
 */
// @ts-expect-error: decorator
@inline
export function kept(x: i32, none: i32): v128 {
  return i32x4.splat(x | none);
}

// @ts-expect-error: decorator
@inline
export function splat16(x: i16): v128 {
  return i16x8.splat(x);
}

// @ts-expect-error: decorator
@inline
export function addInt(a: v128, b: v128): v128 {
  return i32x4.add(a, b);
}

// @ts-expect-error: decorator
@inline
export function mulInt(a: v128, b: v128): v128 {
  return i32x4.mul(a, b);
}

// @ts-expect-error: decorator
@inline
export function subInt(a: v128, b: v128): v128 {
  return i32x4.sub(a, b);
}

/** Each integer's halves, as signed ones of 16 bits, multiplied by those of the other and added. */
// @ts-expect-error: decorator
@inline
export function dot16(a: v128, b: v128): v128 {
  return i32x4.dot_i16x8_s(a, b);
}

/** The larger one, as signed integers. */
// @ts-expect-error: decorator
@inline
export function maxInt(a: v128, b: v128): v128 {
  return i32x4.max_s(a, b);
}

// @ts-expect-error: decorator
@inline
export function shiftLeft(x: v128, bits: i32): v128 {
  return i32x4.shl(x, bits);
}

/** Zeros come in from the left. */
// @ts-expect-error: decorator
@inline
export function shiftRight(x: v128, bits: i32): v128 {
  return i32x4.shr_u(x, bits);
}

// @ts-expect-error: decorator
@inline
export function and(a: v128, b: v128): v128 {
  return v128.and(a, b);
}

/** The smaller one; `a` if either is NaN. */
// @ts-expect-error: decorator
@inline
export function smaller(a: v128, b: v128): v128 {
  return f32x4.pmin(a, b);
}

/** Whether any lane is NaN. */
// @ts-expect-error: decorator
@inline
export function anyNaN(x: v128): bool {
  return i32x4.bitmask(f32x4.ne(x, x)) !== 0;
}

/** All ones in the lanes that are not NaN. */
// @ts-expect-error: decorator
@inline
export function isNumber(x: v128): v128 {
  return f32x4.eq(x, x);
}

// @ts-expect-error: decorator
@inline
export function add(a: v128, b: v128): v128 {
  return f32x4.add(a, b);
}

// @ts-expect-error: decorator
@inline
export function sub(a: v128, b: v128): v128 {
  return f32x4.sub(a, b);
}

// @ts-expect-error: decorator
@inline
export function mul(a: v128, b: v128): v128 {
  return f32x4.mul(a, b);
}

// @ts-expect-error: decorator
@inline
export function div(a: v128, b: v128): v128 {
  return f32x4.div(a, b);
}

// @ts-expect-error: decorator
@inline
export function sqrt(a: v128): v128 {
  return f32x4.sqrt(a);
}

/** The larger one; NaN if either is. */
// @ts-expect-error: decorator
@inline
export function max(a: v128, b: v128): v128 {
  return f32x4.max(a, b);
}

/** `a · b + c`: rounded twice; in relaxed modules once or twice, whichever the machine does. */
// @ts-expect-error: decorator
@inline
export function mulAdd(a: v128, b: v128, c: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? f32x4.relaxed_madd(a, b, c) : f32x4.add(f32x4.mul(a, b), c);
}

/** All ones in the lanes with |x| below 2^-126, zeros included, NaN excluded. */
// @ts-expect-error: decorator
@inline
export function isTiny(x: v128): v128 {
  return f32x4.lt(f32x4.abs(x), f32x4.splat(MIN_NORMAL));
}

/**
 * Whether any lane of the four vectors has |x| below 2^-126. Floats without their sign are in the order of their bits, so the
 * smallest by its bits is compared and no other; to compare each took twice as long.
 */
// @ts-expect-error: decorator
@inline
export function anyTiny(a: v128, b: v128, c: v128, d: v128): bool {
  const smallest = i32x4.min_u(i32x4.min_u(unsigned(a), unsigned(b)), i32x4.min_u(unsigned(c), unsigned(d)));
  return v128.any_true(i32x4.lt_u(smallest, i32x4.splat(2 << 23)));
}

// @ts-expect-error: decorator
@inline
function unsigned(x: v128): v128 {
  return i32x4.shl(x, 1);
}

// @ts-expect-error: decorator
@inline
export function or(a: v128, b: v128): v128 {
  return v128.or(a, b);
}

/** `x` with +0 in the masked lanes. */
// @ts-expect-error: decorator
@inline
export function clear(x: v128, mask: v128): v128 {
  return v128.andnot(x, mask);
}

/** Lanes 2 and 3, moved to 0 and 1. */
// @ts-expect-error: decorator
@inline
export function upper(x: v128): v128 {
  return v128.shuffle<u64>(x, x, 1, 1);
}

/** Adds the squares of lanes 0 and 1 to two float64 sums. The square of a float32 is exact in float64. */
// @ts-expect-error: decorator
@inline
export function addSquares64(sums: v128, x: v128): v128 {
  const pair = f64x2.promote_low_f32x4(x);
  return f64x2.add(sums, f64x2.mul(pair, pair));
}

// @ts-expect-error: decorator
@inline
export function add64(a: v128, b: v128): v128 {
  return f64x2.add(a, b);
}

/** Both lanes of a float64 pair, added. */
// @ts-expect-error: decorator
@inline
export function sumAcross64(pair: v128): f64 {
  return f64x2.extract_lane(pair, 0) + f64x2.extract_lane(pair, 1);
}

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

import { add64, addSquares64, kept, nothing, splat, sumAcross64, upper } from "./lane";
import { bytes, Format, read, Widening } from "./storage";

/**
 * Sum of squares of at most one block of gradients (`NORM_BLOCK` in src/kernels/table.ts), in float64. Element i adds to sum i mod 8,
 * what is left of the last eight to sum 0: eight sums, so that no addition waits for the one before. How they are put together is
 * promised to users, for the norm's bits follow from it; src/kernels/scalar.ts does it in the same order, and test/support/norm.ts
 * states it again. The sum is finite exactly when every element is: no square of a float32 overflows float64.
 */
// @ts-expect-error: decorator
@inline
export function sum_squares(format: Format, grad: usize, length: usize): f64 {
  let s01 = splat(0);
  let s23 = splat(0);
  let s45 = splat(0);
  let s67 = splat(0);
  const none = nothing(length);
  const bias = kept(Widening.Bias, none);
  const gap = kept(Widening.Gap, none);
  const scale = kept(Widening.Scale, none);
  const sign = kept(Widening.Sign, none);
  for (; length >= 8; length -= 8) {
    const a = read<v128>(format, grad, false, bias, gap, scale, sign);
    const b = read<v128>(format, grad, true, bias, gap, scale, sign);
    s01 = addSquares64(s01, a);
    s23 = addSquares64(s23, upper(a));
    s45 = addSquares64(s45, b);
    s67 = addSquares64(s67, upper(b));
    grad += bytes(format, 32);
  }
  for (; length > 0; length--) {
    s01 = addSquares64(s01, read<f32>(format, grad, false, bias, gap, scale, sign));
    grad += bytes(format, 4);
  }
  return sumAcross64(add64(add64(s01, s23), add64(s45, s67)));
}

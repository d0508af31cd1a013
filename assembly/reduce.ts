import { add64, addSquares64, load, splat, sumAcross64, upper } from "./lane";

/**
 * Sum of squares of up to one block of gradients, in float64. Eight running sums (element i adds to sum i mod 8, the rest
 * of the row to sum 0) keep the adder busy; how they are put together is part of the promise that the norm has the same
 * bits everywhere, so src/kernels/scalar.ts does it in the same order, and test/support/norm.ts states it again.
 * The sum is finite exactly when every element is: no square of a float32 overflows float64.
 */
export function sum_squares(grad: usize, length: usize): f64 {
  let s01 = splat(0), s23 = splat(0), s45 = splat(0), s67 = splat(0);
  for (; length >= 8; length -= 8) {
    const a = load<v128>(grad), b = load<v128>(grad, 16);
    s01 = addSquares64(s01, a);
    s23 = addSquares64(s23, upper(a));
    s45 = addSquares64(s45, b);
    s67 = addSquares64(s67, upper(b));
    grad += 32;
  }
  for (; length > 0; length--) {
    s01 = addSquares64(s01, load<f32>(grad));
    grad += 4;
  }
  return sumAcross64(add64(add64(s01, s23), add64(s45, s67)));
}

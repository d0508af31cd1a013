/**
 * base^exponent for base >= 0 and exponent >= 0, of × and √ alone, which IEEE 754 fixes: `Math.pow` is
 * "implementation-approximated", and engines differ in its last bit. Its relative error is at most (exponent + 3) · 2^-53.
 */
export function power(base: number, exponent: number): number {
  const whole = Math.floor(exponent);
  let result = exponent > whole ? root(base, exponent - whole) : 1;
  let square = base;
  for (let rest = whole; rest > 0; rest = Math.floor(rest / 2)) {
    // 0, 1 and ∞ are their own squares.
    if (square * square === square) return result * square;
    if (rest % 2 === 1) result *= square;
    square *= square;
  }
  return result;
}

/** base^exponent for 0 <= exponent < 1, digit by digit of the exponent in base 2. A root halves the errors made before it. */
function root(base: number, exponent: number): number {
  if (exponent === 0) return 1;
  const twice = 2 * exponent;
  return Math.sqrt(twice < 1 ? root(base, twice) : base * root(base, twice - 1));
}

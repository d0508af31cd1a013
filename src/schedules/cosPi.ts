/** Enough terms for |t| <= π/4: the next one is below 2^-58. */
const COSINE_TERMS = 16;
const SINE_TERMS = 17;

/**
 * cos(π · n / d) for whole numbers 0 <= n <= d, within 2^-52.
 *
 * Of + − × ÷ alone, which IEEE 754 fixes. `Math.cos` is "implementation-approximated", engines differ in its last bit, and so
 * would rates made of it, and runs.
 */
export function cosPi(n: number, d: number): number {
  // Exact: doubling is, and so are differences of whole numbers.
  if (2 * n > d) return -cosPi(d - n, d);
  if (4 * n <= d) return series((Math.PI * n) / d, COSINE_TERMS);
  const complement = (Math.PI * (d - 2 * n)) / (2 * d);
  return complement * series(complement, SINE_TERMS);
}

/** 1 − t²/(2·1) (1 − t²/(4·3) (1 − …)) for an even last term: cos t. For an odd one, from t²/(3·2) on: sin t / t. */
function series(t: number, last: number): number {
  const z = t * t;
  let sum = 1;
  for (let k = last; k > 1; k -= 2) sum = 1 - (z / (k * (k - 1))) * sum;
  return sum;
}

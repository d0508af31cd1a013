/** Elements per block of the gradient norm; a tensor's blocks start at its first element. */
const BLOCK = 4096;

/**
 * Sum of squares in float64 in the order that assembly/reduce.ts documents: element i to sum i mod 8, those behind the
 * last whole eight to sum 0, then the sums pairwise.
 */
export function sumOfSquares(values: Float32Array): number {
  const sums = new Float64Array(8);
  const rest = values.length % 8;
  values.forEach((x, i) => {
    const lane = i < values.length - rest ? i % 8 : 0;
    sums[lane] = sums[lane]! + x * x;
  });
  const [s0, s1, s2, s3, s4, s5, s6, s7] = [...sums] as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  return s0 + s2 + (s4 + s6) + (s1 + s3 + (s5 + s7));
}

/** L2 norm of all gradients of a step, bit for bit: tensor after tensor, block after block. */
export function normOf(gradients: readonly Float32Array[], gradScale: number): number {
  let sum = 0;
  for (const values of gradients) {
    for (let start = 0; start < values.length; start += BLOCK) {
      sum += sumOfSquares(values.subarray(start, start + BLOCK));
    }
  }
  return Math.sqrt(sum) / gradScale;
}

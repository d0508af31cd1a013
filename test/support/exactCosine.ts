const BITS = 200n;
const ONE = 1n << BITS;

/** π in fixed point, by Machin's formula. */
const PI = 4n * (4n * arctangentOfInverse(5n) - arctangentOfInverse(239n));

function arctangentOfInverse(x: bigint): bigint {
  let sum = 0n;
  for (let power = ONE / x, n = 1n; power !== 0n; power /= -x * x, n += 2n) sum += power / n;
  return sum;
}

/** cos(π · n / d), from its series in fixed point of 200 bits. */
export function exactCosine(n: number, d: number): number {
  const angle = (PI * BigInt(n)) / BigInt(d);
  const square = (angle * angle) / ONE;
  let sum = 0n;
  for (let term = ONE, k = 1n; term !== 0n; k += 2n) {
    sum += term;
    term = (term * -square) / ONE / (k * (k + 1n));
  }
  return Number(sum / (1n << (BITS - 60n))) / 2 ** 60;
}

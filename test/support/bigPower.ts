/** Bits kept after every multiplication: after 53 squarings some 340 of them are still right. */
const KEPT = 400n;

/** beta^t for any t up to 2^53 − 1, rounded to float64 once. Powers below 2^-1000 are given as 0. */
export function bigPower(beta: number, t: number): number {
  const [bits, scale] = power(beta, t);
  return scale + lengthOf(bits) < -1000n ? 0 : rounded(bits, scale);
}

/** 1 − beta^t, rounded to float64 once. */
export function oneMinusBigPower(beta: number, t: number): number {
  const [bits, scale] = power(beta, t);
  return scale + lengthOf(bits) < -1000n ? 1 : rounded((1n << -scale) - bits, scale);
}

/** Square and multiply on 400-bit integers. */
function power(beta: number, t: number): Scaled {
  let exponent = 0n;
  let mantissa = beta;
  for (; !Number.isInteger(mantissa); exponent--) mantissa *= 2;
  let square: Scaled = [BigInt(mantissa), exponent];
  let product: Scaled = [1n, 0n];
  for (let rest = BigInt(t); rest > 0n; rest >>= 1n) {
    if (rest & 1n) product = multiply(product, square);
    square = multiply(square, square);
  }
  return product;
}

/** The nearest float64. A tie would be rounded up; there is none but for a beta of very few bits, whose powers are short and exact. */
function rounded(bits: bigint, scale: bigint): number {
  const length = lengthOf(bits);
  const dropped = length > 53n ? length - 53n : 0n;
  const kept = dropped > 0n ? (bits + (1n << (dropped - 1n))) >> dropped : bits;
  return Number(kept) * 2 ** Number(scale + dropped);
}

/** A value as integer · 2^exponent. */
type Scaled = readonly [bigint, bigint];

function multiply([a, aScale]: Scaled, [b, bScale]: Scaled): Scaled {
  const product = a * b;
  const excess = lengthOf(product) - KEPT;
  return excess > 0n ? [product >> excess, aScale + bScale + excess] : [product, aScale + bScale];
}

function lengthOf(value: bigint): bigint {
  return BigInt(value === 0n ? 0 : value.toString(2).length);
}

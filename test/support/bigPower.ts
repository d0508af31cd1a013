/** Bits kept after every multiplication: after 53 squarings some 340 of them are still right. */
const KEPT = 400n;

/**
 * beta^t, rounded to float64 once, for any t up to 2^53 - 1, where `exactPower`'s integers would be too long: square
 * and multiply on 400-bit integers. Powers below 2^-1000 are given as 0.
 */
export function bigPower(beta: number, t: number): number {
  if (beta === 0) return t === 0 ? 1 : 0;
  let exponent = 0n;
  let mantissa = beta;
  for (; !Number.isInteger(mantissa); exponent--) mantissa *= 2;
  let square: Scaled = [BigInt(mantissa), exponent];
  let power: Scaled = [1n, 0n];
  for (let rest = BigInt(t); rest > 0n; rest >>= 1n) {
    if (rest & 1n) power = multiply(power, square);
    square = multiply(square, square);
  }
  const [bits, scale] = power;
  const length = lengthOf(bits);
  if (scale + length < -1000n) return 0;
  const dropped = length > 53n ? length - 53n : 0n;
  // A tie would be rounded up. There is none but for a beta of very few bits, whose powers are short and exact.
  const rounded = dropped > 0n ? (bits + (1n << (dropped - 1n))) >> dropped : bits;
  return Number(rounded) * 2 ** Number(scale + dropped);
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

/** Powers below this leave 1 − β^t at 1. */
const NEGLIGIBLE = 2 ** -64;
/** Bits in the largest step count, 2^53 − 1. */
const BITS = 53;
/** Betas whose squares are kept; a run has two, a schedule over β may have any number. */
const KEPT = 64;

interface Squares {
  /** base^(2^k) for each bit k, as pairs of high and low part. */
  readonly pairs: Float64Array;
  /** The first 2^k whose power is negligible. */
  readonly settled: number;
}

const tables = new Map<number, Squares>();

/**
 * 1 − base^exponent for base in [0, 1) and a whole exponent >= 0, from a power that is rounded to float64 once.
 *
 * Square and multiply in double-double (Dekker 1971): every operation of it is fixed by IEEE 754. `Math.pow` is
 * "implementation-approximated", engines differ in its last bit, and a bias correction made of it would, now and then,
 * differ in float32. The squares depend on the base alone and are kept.
 */
export function oneMinusPower(base: number, exponent: number): number {
  const { pairs, settled } = squaresOf(base);
  if (exponent >= settled) return 1;
  let hi = 1;
  let lo = 0;
  for (let bit = 0, rest = exponent; rest > 0; bit++, rest = Math.floor(rest / 2)) {
    if (rest % 2 === 0) continue;
    const squareHi = pairs[2 * bit]!;
    const high = hi * squareHi;
    const low = productError(hi, squareHi, high) + (hi * pairs[2 * bit + 1]! + lo * squareHi);
    hi = high + low;
    lo = low - (hi - high);
  }
  return 1 - hi;
}

function squaresOf(base: number): Squares {
  const known = tables.get(base);
  if (known !== undefined) return known;
  const pairs = new Float64Array(2 * BITS);
  let hi = base;
  let lo = 0;
  let k = 0;
  for (; k < BITS && hi >= NEGLIGIBLE; k++) {
    pairs[2 * k] = hi;
    pairs[2 * k + 1] = lo;
    const high = hi * hi;
    const low = productError(hi, hi, high) + 2 * (hi * lo);
    hi = high + low;
    lo = low - (hi - high);
  }
  if (tables.size >= KEPT) tables.clear();
  const squares = { pairs, settled: 2 ** k };
  tables.set(base, squares);
  return squares;
}

/** 2^27 + 1: splits a float64 into two halves of 26 bits whose products are exact. */
const SPLITTER = 134217729;

/** a · b − fl(a · b), exactly. */
function productError(a: number, b: number, product: number): number {
  const bigA = SPLITTER * a;
  const bigB = SPLITTER * b;
  const aHigh = bigA - (bigA - a);
  const bHigh = bigB - (bigB - b);
  const aLow = a - aHigh;
  const bLow = b - bHigh;
  return aLow * bLow - (product - aHigh * bHigh - aLow * bHigh - aHigh * bLow);
}

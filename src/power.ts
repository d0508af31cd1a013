/**
 * base^exponent for base in [0, 1) and a whole exponent >= 0, rounded once: square and multiply in double-double
 * (Dekker 1971), every operation of which IEEE 754 fixes. `Math.pow` is "implementation-approximated" and differs between
 * engines in the last bit; a bias correction made of it would, now and then, differ in float32.
 */
export function power(base: number, exponent: number): number {
  let hi = 1;
  let lo = 0;
  let squareHi = base;
  let squareLo = 0;
  for (let rest = exponent; rest > 0 && hi !== 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) {
      const high = hi * squareHi;
      const low = productError(hi, squareHi, high) + (hi * squareLo + lo * squareHi);
      hi = high + low;
      lo = low - (hi - high);
    }
    const high = squareHi * squareHi;
    const low = productError(squareHi, squareHi, high) + 2 * (squareHi * squareLo);
    squareHi = high + low;
    squareLo = low - (squareHi - high);
  }
  return hi;
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

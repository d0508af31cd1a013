/** Deterministic test data: the same numbers in every run, so that a failure can be run again. */

/** Uniform 32-bit integers (Steele & Vigna's split mix, 32 bits). */
export function randomBits(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let x = state;
    x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
    x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
    return (x ^ (x >>> 15)) >>> 0;
  };
}

/** Where float32 arithmetic goes wrong first. */
export const SPECIALS: readonly number[] = [
  0,
  -0,
  1,
  -1,
  NaN,
  Infinity,
  -Infinity,
  // Subnormals: the smallest, a middle one, the largest; the smallest normals.
  ...both(2 ** -149, 2 ** -140, 2 ** -126 - 2 ** -149, 2 ** -126, 2 ** -126 + 2 ** -149),
  // Their squares underflow, to a subnormal or to zero.
  ...both(1e-37, 1e-30, 2 ** -63, 2 ** -75, 1e-22),
  // g·g overflows from 1.8e19, (1 - β2)·g·g from 5.8e20.
  ...both(1e19, 2e19, 5e20, 6e20, 1e30, 1e38, 3.4028234663852886e38),
];

function both(...values: number[]): number[] {
  return values.flatMap((x) => [x, -x]);
}

/** Normal values of either sign, magnitudes log-uniform over 2^-20 to 2^4. */
export function ordinary(length: number, seed: number): Float32Array {
  const next = randomBits(seed);
  return Float32Array.from({ length }, () => {
    const magnitude = 2 ** ((next() / 2 ** 32) * 24 - 20);
    return next() & 1 ? magnitude : -magnitude;
  });
}

/** A third specials, a third any bits at all, a third ordinary. */
export function wild(length: number, seed: number): Float32Array {
  const next = randomBits(seed);
  const values = ordinary(length, seed + 1);
  const bits = new Uint32Array(values.buffer);
  for (let i = 0; i < length; i++) {
    const kind = next() % 3;
    if (kind === 0) values[i] = SPECIALS[next() % SPECIALS.length]!;
    if (kind === 1) bits[i] = next();
  }
  return values;
}

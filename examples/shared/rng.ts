/** Uniform numbers in [0, 1). The same seed gives the same sequence in every engine. */
export type Rng = () => number;

/** mulberry32: 32 bits of state, integer operations only. */
export function createRng(seed: number): Rng {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let z = Math.imul(state ^ (state >>> 15), state | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** 0 … length − 1 in random order (Fisher–Yates). */
export function permutation(length: number, rng: Rng): Uint32Array {
  const order = Uint32Array.from({ length }, (_, i) => i);
  for (let i = length - 1; i > 0; i--) {
    const j = Math.floor(rng() * (i + 1));
    const swapped = order[i]!;
    order[i] = order[j]!;
    order[j] = swapped;
  }
  return order;
}

/** Mean 0, variance 1, normal but for the far tails: twelve uniform numbers less six. Additions alone, so the same in every engine. */
export function normal(rng: Rng): number {
  let sum = -6;
  for (let i = 0; i < 12; i++) sum += rng();
  return sum;
}

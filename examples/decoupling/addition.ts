import { createRng, permutation } from "../shared/rng.js";
import { datasetOf } from "./dataset.js";
import type { Task } from "./task.js";

const MODULUS = 23;
const PAIRS = MODULUS ** 2;
const TRAINED = Math.round(0.7 * PAIRS);
const HIDDEN = 64;

/**
 * (a + b) mod 23 from 70 % of the pairs. With a and b as one-hot inputs side by side, w1 is two tables E and F one above the
 * other, and the hidden layer is relu(E[a] + F[b]). The pairs left out are both what is chosen by and what is reported.
 */
export function addition(): Task {
  const pairs = Array.from({ length: PAIRS }, (_, i) => [Math.floor(i / MODULUS), i % MODULUS] as const);
  return {
    hidden: HIDDEN,
    schedule: "constant",
    sigma: { w1: Math.SQRT1_2, w2: Math.sqrt(2 / HIDDEN) },
    data: datasetOf(
      2 * MODULUS,
      MODULUS,
      pairs.map(([a, b]) => ({
        entries: [
          [a, 1],
          [MODULUS + b, 1],
        ],
        label: (a + b) % MODULUS,
      })),
    ),
    split(seed) {
      const order = permutation(PAIRS, createRng(seed));
      const heldOut = order.subarray(TRAINED);
      return { train: order.subarray(0, TRAINED), validation: heldOut, test: heldOut };
    },
  };
}

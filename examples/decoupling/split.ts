import { createRng, permutation } from "../shared/rng.js";
import type { Split } from "./task.js";

/** The test examples are the same for every seed: nothing is chosen by them, whatever the seed it is chosen with. */
export function splitApart(
  size: number,
  sizes: { readonly [part in keyof Split]: number },
): { readonly rest: Uint32Array; split(seed: number): Split } {
  const order = permutation(size, createRng(0));
  const test = order.subarray(0, sizes.test);
  const rest = order.subarray(sizes.test);
  return {
    rest,
    split(seed) {
      const drawn = permutation(rest.length, createRng(seed)).map((i) => rest[i]!);
      const end = sizes.train + sizes.validation;
      return { train: drawn.subarray(0, sizes.train), validation: drawn.subarray(sizes.train, end), test };
    },
  };
}

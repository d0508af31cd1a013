/** What is trained, however many ranks do it: a step's gradient is the sum of those of four small batches, each computed by itself. */
import type { Dataset, Split } from "../shared/data.js";
import { loadDigits } from "../shared/digits.js";
import { initialValues, lossAndGradients, SHAPES, type Tensors } from "../shared/model.js";
import { createRng, permutation } from "../shared/rng.js";

export const OPTIONS = { lr: 2e-3, weightDecay: 0.05 };
const SEED = 1;
/** Small batches per step, which ranks share: 1, 2 or 4 of them. */
export const PARTS = 4;
const PART_SIZE = 8;
/** With gradients that are whole numbers: how many of them a gradient of 1 is. */
const WHOLE = 2 ** 20;

export type Kind = "whole" | "real";
export const NAMES = Object.keys(SHAPES) as (keyof typeof SHAPES)[];

export function loadData(): Split {
  return loadDigits(1000, 1000, SEED);
}

export function startValues(): Tensors {
  return initialValues(createRng(SEED));
}

export function zeros(): Tensors {
  const lengthOf = (name: keyof typeof SHAPES) => SHAPES[name].reduce<number>((product, size) => product * size, 1);
  return Object.fromEntries(NAMES.map((name) => [name, new Float32Array(lengthOf(name))])) as Tensors;
}

/** What the summed gradients are divided by: their number, and what made them whole. */
export function gradScaleOf(kind: Kind): number {
  return PARTS * (kind === "whole" ? WHOLE : 1);
}

/** For each step of an epoch its small batches. The same for all ranks, and for any number of them. */
export function epochOf({ size }: Dataset, epoch: number): Uint32Array[][] {
  const order = permutation(size, createRng(SEED + 1 + epoch));
  const step = PARTS * PART_SIZE;
  return Array.from({ length: Math.floor(size / step) }, (_, i) =>
    Array.from({ length: PARTS }, (_, part) => {
      const start = i * step + part * PART_SIZE;
      return order.subarray(start, start + PART_SIZE);
    }),
  );
}

const own = zeros();

/**
 * Adds the gradient of one small batch to `sums`. Made whole, gradients add up to the same in any order: a float32 holds every integer up to
 * 2^24.
 */
export function addGradient(params: Tensors, sums: Tensors, data: Dataset, indices: Uint32Array, kind: Kind): void {
  for (const name of NAMES) own[name].fill(0);
  lossAndGradients(params, own, data, indices);
  for (const name of NAMES) {
    const [from, to] = [own[name], sums[name]];
    for (let i = 0; i < to.length; i++) {
      if (kind === "real") to[i]! += from[i]!;
      else if (Math.abs(from[i]!) * WHOLE * PARTS >= 2 ** 24)
        throw new Error(`${name}[${i}]: a gradient of ${from[i]}`);
      else to[i]! += Math.round(from[i]! * WHOLE);
    }
  }
}

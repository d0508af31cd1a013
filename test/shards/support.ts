/** One model on any number of ranks: what tests of slices and of shards train, and hold against one optimizer. */
import { Adam, AdamW, type ParamSet, preload, type StepOptions } from "fused-adam";
import { expect } from "vitest";
import { expectSameBits } from "../support/bits.js";
import { dyadic, type Optimizer } from "../support/model.js";

// In a page their kernels come when they are asked for.
await preload({ moments: "bfloat16", copies: "bfloat16" });

/** Matrices, vectors, a scalar, tensors without rows and without columns, one larger than a block of 64 KiB. */
export const SHAPES: Readonly<Record<string, readonly number[]>> = {
  w: [7, 5],
  b: [4],
  scalar: [],
  empty: [0, 3],
  hollow: [3, 0],
};
export const LARGE = { ...SHAPES, large: [700, 41] };

export const sizeOf = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1);

/** Which rows a rank owns of a tensor with so many: uneven ones, and of small tensors often none. */
export function rowsOf(all: number, rank: number, ranks: number): [number, number] {
  const cut = (i: number) => Math.floor(all * (i / ranks) ** 2);
  return [cut(rank), cut(rank + 1)];
}

/** Of a tensor's values those of a rank. */
export function partOf(shape: readonly number[], values: Float32Array, rank: number, ranks: number): Float32Array {
  const row = sizeOf(shape.slice(1));
  const [first, end] = rowsOf(shape[0] ?? 1, rank, ranks);
  return values.slice(first * row, end * row);
}

export interface Case {
  readonly make: (params: ParamSet) => Optimizer;
  readonly step?: StepOptions;
}

const lr = (t: number) => 0.01 / t;

export const CASES: Readonly<Record<string, Case>> = {
  AdamW: { make: (params) => AdamW.createSync(params) },
  "Adam with coupled decay": { make: (params) => Adam.createSync(params, { weightDecay: 0.1 }) },
  "AMSGrad, ascent, a schedule": {
    make: (params) => AdamW.createSync(params, { amsgrad: true, maximize: true, lr, biasCorrection: false }),
  },
  "clipping, loss scaling, a skipped parameter": {
    make: (params) => AdamW.createSync(params),
    step: { clipNorm: 0.5, gradScale: 4, zeroGrad: true, skip: ["b"] },
  },
  "the TypeScript kernels": { make: (params) => AdamW.createSync(params, { kernel: "scalar" }) },
  "bfloat16 moments and copies": {
    make: (params) => AdamW.createSync(params, { moments: "bfloat16", copies: "bfloat16", amsgrad: true }),
  },
  "groups, of which one has AMSGrad": {
    make: (params) => {
      const { w, ...rest } = params as Record<string, Float32Array>;
      return AdamW.createSync([
        { params: { w: w! }, weightDecay: 0.2, amsgrad: true },
        { params: rest, eps: 1e-3 },
      ]);
    },
  },
};

/** An optimizer for each rank; on one rank its rows are all of them. */
export function ranksOf(make: Case["make"], ranks: number, shapes = SHAPES): Optimizer[] {
  return Array.from({ length: ranks }, (_, rank) =>
    make(
      Object.fromEntries(
        Object.entries(shapes).map(([name, shape], seed) => {
          const data = partOf(shape, dyadic(sizeOf(shape), seed), rank, ranks);
          return [name, { shape, rows: rowsOf(shape[0] ?? 1, rank, ranks), data }];
        }),
      ),
    ),
  );
}

export function wholeOf(make: Case["make"], shapes = SHAPES): Optimizer {
  const sources = Object.entries(shapes).map(([name, shape], seed) => [
    name,
    { shape, data: dyadic(sizeOf(shape), seed) },
  ]);
  return make(Object.fromEntries(sources));
}

/** The same steps on all ranks, which add up their norms in rank order. Sums of squares of these gradients are exact in any order. */
export function train(parts: readonly Optimizer[], step: StepOptions, from: number, to: number, shapes = SHAPES): void {
  const { skip = [], gradScale = 1 } = step;
  for (let t = from; t < to; t++) {
    for (const [i, [name, shape]] of Object.entries(shapes).entries()) {
      const grad = dyadic(sizeOf(shape), 10 * t + i);
      parts.forEach((part, rank) => {
        part.setGrad(name, partOf(shape, grad, rank, parts.length));
      });
    }
    const total = parts.reduce((sum, part) => sum + part.sumOfSquares({ skip, gradScale }), 0);
    for (const part of parts) part.step({ ...step, gradNorm: Math.sqrt(total) });
  }
}

/** Parameters, moments, step counts and hyper-parameters, bit for bit. */
export function expectSame(parts: readonly Optimizer[], whole: Optimizer): void {
  const join = (arrays: Float32Array[]) => Float32Array.from(arrays.flatMap((array) => [...array]));
  const expected = whole.stateDict();
  const states = parts.map((part) => part.stateDict());
  for (const { param_groups } of states) expect(param_groups).toEqual(expected.param_groups);
  for (const [name, entry] of Object.entries(expected.state)) {
    expectSameBits(name, join(parts.map((part) => part.param(name))), whole.param(name));
    for (const { state } of states) expect(state[name]!.step).toBe(entry.step);
    for (const key of ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"] as const) {
      if (entry[key] === undefined) continue;
      expectSameBits(`${name}.${key}`, join(states.map(({ state }) => state[name]![key]!)), entry[key]);
    }
  }
}

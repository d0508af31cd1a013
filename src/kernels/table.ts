import type { KernelKind } from "../checks/types.js";

/** The weight decay of an update: λ·p added to the gradient, or p multiplied by a factor (1 where there is no decay). */
export const DECAYS = ["adam", "adamw"] as const;
/** What happens to a gradient: used as it is, multiplied by a factor first, or multiplied and left zeroed. */
export const GRADIENTS = ["", "scaled", "zeroing"] as const;

export interface UpdateRow {
  readonly name: string;
  readonly decay: (typeof DECAYS)[number];
  readonly amsgrad: boolean;
  readonly gradient: (typeof GRADIENTS)[number];
}

/** Every update kernel there is. The modules' exports, the scalar fallback, tests and benches follow this table. */
export const UPDATE_ROWS: readonly UpdateRow[] = DECAYS.flatMap((decay) =>
  [false, true].flatMap((amsgrad) =>
    GRADIENTS.map((gradient) => {
      const name = [decay, amsgrad ? "amsgrad" : "", gradient].filter((part) => part !== "").join("_");
      return { name, decay, amsgrad, gradient };
    }),
  ),
);

/** Where in the table the row with these properties stands. */
export function rowOf(decay: UpdateRow["decay"], amsgrad: boolean, gradient: UpdateRow["gradient"]): number {
  return (DECAYS.indexOf(decay) * 2 + (amsgrad ? 1 : 0)) * GRADIENTS.length + GRADIENTS.indexOf(gradient);
}

/** Addresses in bytes, a length in elements, then the constants of a step in order, already narrowed to float32. */
export type UpdateKernel = (
  param: number,
  grad: number,
  expAvg: number,
  expAvgSq: number,
  maxExpAvgSq: number,
  length: number,
  beta1: number,
  oneMinusBeta1: number,
  beta2: number,
  oneMinusBeta2: number,
  stepSize: number,
  rsqrtBiasCorrection2: number,
  eps: number,
  decay: number,
  gradFactor: number,
) => void;

/** The kernels over one memory, whatever they are made of. */
export interface Kernels {
  readonly kind: KernelKind;
  /** One per row of `UPDATE_ROWS`. */
  readonly update: readonly UpdateKernel[];
  /** Sum of squares of at most `NORM_BLOCK` elements. */
  readonly sumSquares: (grad: number, length: number) => number;
  /** Elements with |x| < 2^-126 become +0. */
  readonly flush: (ptr: number, length: number) => void;
}

export type KernelExports = Readonly<Record<string, unknown>>;

/** A module's exports as kernels. They are not called `exports` here: in CommonJS that name is this module's own. */
export function kernelsFrom(kind: KernelKind, functions: KernelExports): Kernels {
  const get = <F>(name: string) => functions[name] as F;
  return {
    kind,
    update: UPDATE_ROWS.map(({ name }) => get<UpdateKernel>(name)),
    sumSquares: get("sum_squares"),
    flush: get("flush"),
  };
}

/**
 * Elements per partial sum of the gradient norm. A tensor's blocks start at its first element and are added in order, so
 * the norm does not depend on where tensors lie, nor on who summed which block.
 */
export const NORM_BLOCK = 4096;

/**
 * The moments are flushed after every step t that this divides: docs/subnormals.md has what each choice costs. Until then, for
 * at most 31 steps, a subnormal costs what it costs.
 */
export const FLUSH_EVERY = 32;

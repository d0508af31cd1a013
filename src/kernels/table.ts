import type { KernelKind } from "../checks/types.js";
import { REGION_NAMES } from "../memory/regions.js";

/*
 * The kernel table. scripts/kernels.mjs makes the exports of the modules from it, and the code that calls them; the
 * TypeScript kernels, tests and benches run over it.
 */

/** How weights decay: λ·p is added to the gradient, or p is multiplied by a factor (1 where there is no decay). */
export const DECAYS = ["l2", "decoupled"] as const;
/** What happens to the gradient: used as it is, multiplied by a factor first, or multiplied and left zeroed. */
export const GRADIENTS = ["plain", "scaled", "zeroing"] as const;

export interface UpdateRow {
  /** The export: `<decay>[_amsgrad][_<gradient>]`, without "plain". */
  readonly name: string;
  readonly decay: (typeof DECAYS)[number];
  readonly amsgrad: boolean;
  readonly gradient: (typeof GRADIENTS)[number];
}

/** Every update kernel there is. */
export const UPDATE_ROWS: readonly UpdateRow[] = DECAYS.flatMap((decay) =>
  [false, true].flatMap((amsgrad) =>
    GRADIENTS.map((gradient) => {
      const name = [decay, amsgrad && "amsgrad", gradient !== "plain" && gradient].filter(Boolean).join("_");
      return { name, decay, amsgrad, gradient };
    }),
  ),
);

/** The index in `UPDATE_ROWS` of the row with these properties. */
export function rowOf(decay: UpdateRow["decay"], amsgrad: boolean, gradient: UpdateRow["gradient"]): number {
  return (DECAYS.indexOf(decay) * 2 + (amsgrad ? 1 : 0)) * GRADIENTS.length + GRADIENTS.indexOf(gradient);
}

/** The kernels that are no updates: the export, and the file of assembly/ that has it. */
export const PASSES = {
  sumSquares: { name: "sum_squares", file: "reduce" },
  flush: { name: "flush", file: "flush" },
} as const;

/**
 * The modules: which features of WebAssembly they are compiled with, and whether bundles keep them apart until somebody asks for
 * them. Each is there twice, for memory that is shared and for memory that is not.
 */
export const MODULES = {
  simd: { features: ["simd"], lazy: false },
  relaxed: { features: ["simd", "relaxed-simd"], lazy: true },
} as const satisfies { readonly [K in KernelKind]?: { readonly features: readonly string[]; readonly lazy: boolean } };

/** The names of all kernels that a module exports. */
export function kernelNames(): string[] {
  return [...UPDATE_ROWS, ...Object.values(PASSES)].map(({ name }) => name);
}

/**
 * The arguments of an update, in order: these addresses in bytes, a length in elements, these constants in float32. The build
 * makes src/generated/{addresses,constants,call}.ts from them.
 */
export const ADDRESSES = REGION_NAMES;
export const CONSTANTS = [
  "beta1",
  "oneMinusBeta1",
  "beta2",
  "oneMinusBeta2",
  "stepSize",
  "rsqrtBiasCorrection2",
  "eps",
  "decay",
  "gradFactor",
] as const;

/** A number for each name. */
type Numbers<Names extends readonly string[]> = { -readonly [I in keyof Names]: number };

export type UpdateKernel = (
  ...args: [...Numbers<typeof ADDRESSES>, length: number, ...Numbers<typeof CONSTANTS>]
) => void;

/** The kernels over one memory, whatever they are made of. */
export interface Kernels {
  readonly kind: KernelKind;
  /** One per row of `UPDATE_ROWS`. */
  readonly update: readonly UpdateKernel[];
  /** Sum of squares of at most `NORM_BLOCK` elements. */
  readonly sumSquares: (grad: number, length: number) => number;
  /** Elements with |x| < 2^-126 become +0. */
  readonly flush: (values: number, length: number) => void;
}

export type KernelExports = Readonly<Record<string, unknown>>;

/** A module's exports as kernels. They are not called `exports` here: in CommonJS that name is this module's own. */
export function kernelsFrom(kind: KernelKind, functions: KernelExports): Kernels {
  const get = <F>({ name }: { readonly name: string }) => functions[name] as F;
  return {
    kind,
    update: UPDATE_ROWS.map((row) => get<UpdateKernel>(row)),
    sumSquares: get(PASSES.sumSquares),
    flush: get(PASSES.flush),
  };
}

/**
 * Elements per partial sum of the gradient norm. A tensor's blocks start at its first element and are added in order, so
 * the norm does not depend on where tensors lie, nor on who summed which block.
 */
export const NORM_BLOCK = 4096;

/**
 * The moments are flushed after every step t that this divides: docs/subnormals.md has what each choice costs. A moment that
 * becomes subnormal in between slows down at most 31 steps.
 */
export const FLUSH_EVERY = 32;

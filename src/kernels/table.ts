import { FORMATS } from "../checks/formats.js";
import type { KernelKind } from "../checks/types.js";
import type { RegionName, RegionOptions } from "../memory/regions.js";

type Formats = Omit<RegionOptions, "amsgrad">;

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

/** Every update kernel there is, whose numbers are all float32. For other formats each of them is there again: `FORMAT_SUFFIXES`. */
export const UPDATE_ROWS: readonly UpdateRow[] = DECAYS.flatMap((decay) =>
  [false, true].flatMap((amsgrad) =>
    GRADIENTS.map((gradient) => {
      const name = [decay, amsgrad && "amsgrad", gradient !== "plain" && gradient].filter(Boolean).join("_");
      return { name, decay, amsgrad, gradient };
    }),
  ),
);

/**
 * What follows the names for each choice of formats: none for float32 alone, then gradients of 16 bits, then moments of 16 bits with each kind of
 * gradients. A kernel's number is the index of its choice here, times the number of `UPDATE_ROWS`, plus its index there.
 */
export const FORMAT_SUFFIXES: readonly string[] = ["", "_bfloat16_moments"].flatMap((moments) =>
  ["", "_float16_grads", "_bfloat16_grads"].map((grads) => moments + grads),
);

/** The number of the kernel with these properties, of those for float32 alone. */
export function rowOf(decay: UpdateRow["decay"], amsgrad: boolean, gradient: UpdateRow["gradient"]): number {
  return (DECAYS.indexOf(decay) * 2 + (amsgrad ? 1 : 0)) * GRADIENTS.length + GRADIENTS.indexOf(gradient);
}

/** What is added to that for a group's formats. */
export function formatsOf({ moments, grads }: Formats): number {
  return UPDATE_ROWS.length * (FORMATS.indexOf(grads) + (moments === "float32" ? 0 : FORMATS.length));
}

/** What a kernel of this number does with the gradient and v. */
export function rowAt(number: number): UpdateRow {
  return UPDATE_ROWS[number % UPDATE_ROWS.length]!;
}

/** The index in `FORMATS` of the gradients that it reads, and of the moments that it changes. */
export function gradFormatAt(number: number): number {
  return Math.floor(number / UPDATE_ROWS.length) % FORMATS.length;
}
export function momentFormatAt(number: number): number {
  return number < UPDATE_ROWS.length * FORMATS.length ? 0 : 2;
}

/** Whether a group needs kernels that know formats of 16 bits. */
export function isHalf({ moments, grads, copies }: Formats): boolean {
  return moments !== "float32" || grads !== "float32" || copies !== undefined;
}

/** The kernels that are no updates, one for each format: the export for float32, which `_` and the format follow for others. */
export const PASSES = { sumSquares: "sum_squares", flush: "flush", copy: "copy" } as const;

/** The names of the kernels that every module exports. */
export function kernelNames(): string[] {
  return [...UPDATE_ROWS.map(({ name }) => name), PASSES.sumSquares, PASSES.flush];
}

/** A kernel that only modules have that know formats of 16 bits. */
export const HALF = "copy_bfloat16";

/**
 * The arguments of an update, in order: these addresses in bytes, a length in elements, these constants in float32. Modules for formats of 16 bits
 * take the integers as well: the address of the copies, what moments are rounded with, and the index in `FORMATS` of the copies, 0 for
 * none. The build makes src/generated/{addresses,constants,call}.ts from them.
 */
export const ADDRESSES = [
  "param",
  "grad",
  "expAvg",
  "expAvgSq",
  "maxExpAvgSq",
] as const satisfies readonly RegionName[];
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
export const INTEGERS = ["copy", "seed", "copies"] as const;

/** A number for each name. */
type Numbers<Names extends readonly string[]> = { -readonly [I in keyof Names]: number };

export type UpdateKernel = (
  ...args: [
    ...Numbers<typeof ADDRESSES>,
    length: number,
    ...Numbers<typeof CONSTANTS>,
    ...Partial<Numbers<typeof INTEGERS>>,
  ]
) => void;

/** A function for each of `FORMATS`, as far as there is one. */
type ByFormat<F> = readonly F[];

/** The kernels over one memory, whatever they are made of. */
export interface Kernels {
  readonly kind: KernelKind;
  /** By number; only the first of `FORMAT_SUFFIXES` if they are not for formats of 16 bits. */
  readonly update: readonly UpdateKernel[];
  /** Sum of squares of at most `NORM_BLOCK` elements. */
  readonly sumSquares: ByFormat<(grad: number, length: number) => number>;
  /** Elements with |x| < 2^-126 become +0. */
  readonly flush: ByFormat<(values: number, length: number) => void>;
  /** Parameters are left at `copies` as well, rounded. */
  readonly copy: ByFormat<(params: number, copies: number, length: number) => void>;
  /** What workers make them of; undefined: their script has them. */
  readonly module?: Uint8Array<ArrayBuffer> | WebAssembly.Module | undefined;
  /** The script of workers that run these kernels; undefined: the usual one. */
  readonly worker?: string;
}

export type KernelExports = Readonly<Record<string, unknown>>;

/** A module's exports as kernels. They are not called `exports` here: in CommonJS that name is this module's own. */
export function kernelsFrom(kind: KernelKind, functions: KernelExports): Kernels {
  const pass = <F>(name: string) => FORMATS.map((format, i) => functions[i === 0 ? name : `${name}_${format}`] as F);
  return {
    kind,
    update: FORMAT_SUFFIXES.flatMap((suffix) =>
      UPDATE_ROWS.map(({ name }) => functions[name + suffix] as UpdateKernel),
    ),
    sumSquares: pass(PASSES.sumSquares),
    flush: pass(PASSES.flush),
    copy: pass(PASSES.copy),
  };
}

/** Whether they are for formats of 16 bits, too. */
export function areHalf({ copy }: Kernels): boolean {
  return copy[2] !== undefined;
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

/**
 * A long run that meets every row of the kernel table, every option of a step, a schedule, zero gradients until moments are
 * subnormal, and gradients that are not finite; and what is left of it as one hash. Its inputs are made of integers: they are the
 * same wherever it runs.
 */
import { Adam, type AdamOptions, AdamW, type RuntimeOptions, type StepOptions, type StepResult } from "fused-adam";
import { cosine } from "fused-adam/schedules";
import { dyadic } from "../support/model.js";

export const STEPS = 10_000;

/** Decay that is coupled, and decay that is not: half of the rows each. */
export const MODES = { adam: Adam, adamw: AdamW } as const;

const lr = cosine({ lr: 0.02, steps: STEPS });
const OPTIONS: AdamOptions = { lr, betas: [0.9, 0.99], weightDecay: 0.05 };
const LENGTHS = { a: 37, b: 242, c: 0, d: 101 };
const VARIANTS: readonly (AdamOptions & { readonly large: number })[] = [
  { large: 40_000 },
  { amsgrad: true, eps: 1e-4, large: 30_000 },
  { amsgrad: true, maximize: true, biasCorrection: false, lr: 0.001, large: 0 },
];
/** Together so many elements that threads share them, one step in so many. */
const LARGE = ["e0", "e1"];
const LARGE_EVERY = 97;

/** Every row of a kind of decay: AMSGrad or not, by group; plain, scaled or zeroing, by step. */
export const GROUPS = VARIANTS.map(({ large, ...variant }, i) => ({
  ...OPTIONS,
  ...variant,
  params: Object.fromEntries(
    Object.entries({ ...LENGTHS, e: large }).map(([name, length], j) => [name + i, dyadic(length, 8 * i + j)]),
  ),
}));

/** One after the other: every way through a step. */
const CYCLE: readonly StepOptions[] = [
  {},
  { gradScale: 3 },
  { zeroGrad: true },
  { clipNorm: 40 },
  {},
  { clipNorm: 1, gradScale: 1024, zeroGrad: true },
  { skip: ["b0", "a1"] },
  { skipNonFinite: true, zeroGrad: true, gradScale: 0.5 },
];

export interface Run {
  readonly names: readonly string[];
  grad(name: string): Float32Array;
  step(options: StepOptions): StepResult | Promise<StepResult>;
}

/** Different lengths, so that their combinations take long to come round. */
const POOL = Array.from({ length: 61 }, (_, i) => dyadic(997 + 2 * i, 1000 + i));
const LARGE_POOL = Array.from({ length: 3 }, (_, i) => dyadic(40_000 + 100 * i, 2000 + i));

/** Takes all steps. Returns the norms that steps reported. */
export async function takeSteps(run: Run): Promise<Float64Array> {
  const norms = new Float64Array(STEPS);
  for (let t = 0; t < STEPS; t++) {
    // For 4,000 steps nothing is new to half of the parameters: their first moments sink to 2^-126 and below.
    const asleep = t >= 2000 && t < 6000;
    const large = t % LARGE_EVERY === 0;
    for (const [i, name] of run.names.entries()) {
      if (LARGE.includes(name) && !large) continue;
      const grad = run.grad(name);
      const pool = LARGE.includes(name) ? LARGE_POOL : POOL;
      if (asleep && name.startsWith("b")) grad.fill(0);
      else grad.set(pool[(t + 7 * i) % pool.length]!.subarray(i, i + grad.length));
    }
    const options = CYCLE[t % CYCLE.length]!;
    if (options.skipNonFinite && t % 3 === 0) run.grad("d1")[t % LENGTHS.d] = t % 2 ? Infinity : NaN;
    const skip = [...(options.skip ?? []), ...(large ? [] : LARGE)];
    const { gradNorm } = await run.step({ ...options, skip });
    // What is not finite has more than one pattern of bits.
    norms[t] = gradNorm === undefined || !Number.isFinite(gradNorm) ? -1 : gradNorm;
  }
  return norms;
}

/** SHA-256 of what is left after the run. test/everywhere/digest-reference.test.ts has them from the float32 reference. */
export const DIGESTS = {
  adam: "2c2aed90b41f367988e1b53f8888a68bd94aaad74902fd8ed08253b6b389f0f0",
  adamw: "c8b0fcc7ab1b11626f7452d43d438b6a6892f01afbe8b8aa61739ab391fe76a3",
} as const;

/** SHA-256 over everything given, byte for byte, as hex. */
export async function digestOf(parts: readonly (Float32Array | Float64Array)[]): Promise<string> {
  const bytes = new Uint8Array(parts.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const { buffer, byteOffset, byteLength } of parts) {
    bytes.set(new Uint8Array(buffer, byteOffset, byteLength), at);
    at += byteLength;
  }
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The run on the package, and all that it leaves behind. */
export async function longRun(
  mode: keyof typeof MODES,
  options: RuntimeOptions,
  how: "step" | "stepAsync",
): Promise<(Float32Array | Float64Array)[]> {
  const optimizer = await MODES[mode].create(GROUPS, options);
  const norms = await takeSteps({
    names: optimizer.names,
    grad: (name) => optimizer.grad(name),
    step: (stepOptions) => optimizer[how](stepOptions),
  });
  const { state } = optimizer.stateDict();
  const parts = optimizer.names.flatMap((name) => {
    const { exp_avg, exp_avg_sq, max_exp_avg_sq } = state[name]!;
    return [optimizer.param(name).slice(), exp_avg, exp_avg_sq, max_exp_avg_sq ?? new Float32Array()];
  });
  optimizer.dispose();
  return [norms, ...parts];
}

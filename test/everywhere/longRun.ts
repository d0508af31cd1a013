/**
 * Long runs that meet every row of the kernel table, every option of a step, a schedule, zero gradients until moments are
 * subnormal, and gradients that are not finite; and what is left of them as hashes. One run has float32 alone, another every
 * choice of formats. Their inputs are made of integers: they are the same wherever they run.
 */
import { Adam, type AdamOptions, AdamW, type RuntimeOptions, type StepOptions, type StepResult } from "fused-adam";
import { cosine } from "fused-adam/schedules";
import { decoded, encoded, type Half } from "../support/halves.js";
import { dyadic, Model } from "../support/model.js";
import { digestOf } from "./digests.js";

/** Decay that is coupled, and decay that is not: half of the rows each. */
export const MODES = { adam: Adam, adamw: AdamW } as const;
export type Mode = keyof typeof MODES;

type Format = "float32" | Half;

interface Group extends AdamOptions {
  /** Whose digest this group is in. */
  readonly row: string;
  readonly grads: Format;
  readonly params: Readonly<Record<string, Float32Array>>;
}

interface Run {
  readonly steps: number;
  readonly groups: readonly Group[];
  /** One of these gets a gradient that is not finite, in one step of 24. */
  readonly poisoned: readonly string[];
}

const LENGTHS = { a: 37, b: 242, c: 0, d: 101 };
/** Together so many elements that threads share them, one step in so many. */
const LARGE = "e";
const LARGE_EVERY = 97;

function groupsOf(
  options: AdamOptions,
  variants: readonly (Omit<Group, "params"> & { readonly large: number })[],
): Group[] {
  return variants.map(({ large, ...variant }, i) => ({
    ...options,
    ...variant,
    params: Object.fromEntries(
      Object.entries({ ...LENGTHS, [LARGE]: large }).map(([name, length], j) => [name + i, dyadic(length, 8 * i + j)]),
    ),
  }));
}

/** All moments and gradients, with AMSGrad and without, and copies of each kind or none: no group has float32 alone. */
const HALVES = (["float32", "bfloat16"] as const).flatMap((moments, i) =>
  (["float32", "float16", "bfloat16"] as const).flatMap((grads, j) =>
    [false, true].map((amsgrad, k) => {
      const copies = ([undefined, "float16", "bfloat16"] as const)[(2 + i + j + 2 * k) % 3];
      const row = `${moments} moments, ${grads} grads, ${copies ?? "no"} copies${amsgrad ? ", AMSGrad" : ""}`;
      return { row, moments, grads, copies, amsgrad, large: 6000 };
    }),
  ),
);

const STEPS = { float32: 10_000, halves: 2000 };
const lr = (steps: number) => cosine({ lr: 0.02, steps });

/** The runs. Every row of a kind of decay: AMSGrad or not, by group; plain, scaled or zeroing, by step. */
export const RUNS = {
  float32: {
    steps: STEPS.float32,
    groups: groupsOf(
      { lr: lr(STEPS.float32), betas: [0.9, 0.99], weightDecay: 0.05 },
      [
        { large: 40_000 },
        { amsgrad: true, eps: 1e-4, large: 30_000 },
        { amsgrad: true, maximize: true, biasCorrection: false, lr: 0.001, large: 0 },
      ].map((variant) => ({ ...variant, row: "float32", grads: "float32" as const })),
    ),
    poisoned: ["d1"],
  },
  halves: {
    steps: STEPS.halves,
    // First moments that sink fast enough for a run that is shorter.
    groups: groupsOf({ lr: lr(STEPS.halves), betas: [0.85, 0.99], weightDecay: 0.05 }, HALVES),
    poisoned: HALVES.map((_, i) => `d${i}`),
  },
} as const satisfies Record<string, Run>;
export type RunName = keyof typeof RUNS;

/** Each with each kind of decay: run, kind, steps. */
export const CASES = (["float32", "halves"] as const).flatMap((run) =>
  (["adam", "adamw"] as const).map((mode) => [run, mode, RUNS[run].steps] as const),
);

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

/** Different lengths, so that their combinations take long to come round. */
const SMALL_POOL = Array.from({ length: 61 }, (_, i) => dyadic(997 + 2 * i, 1000 + i));
const LARGE_POOL = Array.from({ length: 3 }, (_, i) => dyadic(40_100 + 100 * i, 2000 + i));
/** As many of them as gradients of 16 bits are long. */
const SHORT_POOL = LARGE_POOL.map((values, i) => values.subarray(0, 6100 + 100 * i));

type Values = Float32Array | Uint16Array;
interface Gradients {
  readonly small: readonly Values[];
  readonly large: readonly Values[];
  readonly infinity: Values;
  readonly nan: Values;
}
/** As each format has them: of 16 bits, their bits. */
function gradientsIn(encode: (values: Float32Array) => Values, large = SHORT_POOL): Gradients {
  const [infinity, nan] = [Infinity, Number.NaN].map((x) => encode(Float32Array.of(x)));
  return { small: SMALL_POOL.map(encode), large: large.map(encode), infinity: infinity!, nan: nan! };
}
const GRADIENTS: Readonly<Record<Format, Gradients>> = {
  float32: gradientsIn((values) => values, LARGE_POOL),
  float16: gradientsIn((values) => encoded("float16", values)),
  bfloat16: gradientsIn((values) => encoded("bfloat16", values)),
};

/** What takes the steps. */
interface Subject {
  /** @param values of 16 bits: their bits */
  setGrad(name: string, values: Values, format: Format): void;
  step(options: StepOptions): StepResult | Promise<StepResult>;
}

/** Takes all steps. Returns the norms that steps reported. */
async function takeSteps({ steps, groups, poisoned }: Run, subject: Subject): Promise<Float64Array> {
  const params = groups.flatMap(({ params, grads }) =>
    Object.entries(params).map(([name, { length }]) => ({ name, length, grads, isLarge: name.startsWith(LARGE) })),
  );
  const largeNames = params.filter(({ isLarge }) => isLarge).map(({ name }) => name);
  const norms = new Float64Array(steps);
  for (let t = 0; t < steps; t++) {
    // For two steps of five nothing is new to some of the parameters: their first moments sink to 2^-126 and below.
    const asleep = t >= 0.2 * steps && t < 0.6 * steps;
    const large = t % LARGE_EVERY === 0;
    const options = CYCLE[t % CYCLE.length]!;
    const poison = options.skipNonFinite && t % 3 === 0 ? poisoned[t % poisoned.length] : undefined;
    for (const [i, { name, length, grads, isLarge }] of params.entries()) {
      if (isLarge && !large) continue;
      const gradients = GRADIENTS[grads];
      const pool = isLarge ? gradients.large : gradients.small;
      const values = pool[(t + 7 * i) % pool.length]!.slice(i, i + length);
      if (asleep && name.startsWith("b")) values.fill(0);
      if (name === poison) values.set(t % 2 ? gradients.infinity : gradients.nan, t % length);
      subject.setGrad(name, values, grads);
    }
    const skip = [...(options.skip ?? []), ...(large ? [] : largeNames)];
    const { gradNorm } = await subject.step({ ...options, skip });
    // What is not finite has more than one pattern of bits.
    norms[t] = gradNorm === undefined || !Number.isFinite(gradNorm) ? -1 : gradNorm;
  }
  return norms;
}

/** What is left of one parameter. Bits of copies, if it has any. */
interface Left {
  readonly param: Float32Array;
  readonly expAvg: Float32Array;
  readonly expAvgSq: Float32Array;
  /** Of AMSGrad. */
  readonly maxExpAvgSq: Float32Array | undefined;
  readonly copy: Uint16Array | undefined;
}

export interface Result {
  readonly norms: Float64Array;
  readonly left: ReadonlyMap<string, Left>;
  /** For each row, of the norms and of all that is left of its parameters. */
  readonly digests: Readonly<Record<string, string>>;
}

async function resultOf(
  { groups }: Run,
  norms: Float64Array,
  leftOf: (name: string, group: Group) => Left,
): Promise<Result> {
  const left = new Map(
    groups.flatMap((group) => Object.keys(group.params).map((name) => [name, leftOf(name, group)] as const)),
  );
  const digests: Record<string, string> = {};
  for (const row of new Set(groups.map(({ row }) => row))) {
    const names = groups.filter((group) => group.row === row).flatMap(({ params }) => Object.keys(params));
    const parts = names.flatMap((name) => {
      const { param, expAvg, expAvgSq, maxExpAvgSq, copy } = left.get(name)!;
      return [param, expAvg, expAvgSq, ...[maxExpAvgSq, copy].filter((part) => part !== undefined)];
    });
    digests[row] = await digestOf([norms, ...parts]);
  }
  return { norms, left, digests };
}

/** A run on the package. */
export async function longRun(
  name: RunName,
  mode: Mode,
  options: RuntimeOptions,
  how: "step" | "stepAsync",
): Promise<Result> {
  const run: Run = RUNS[name];
  const groups = run.groups.map(({ row: _, ...group }) => group);
  const optimizer = await MODES[mode].create(groups, options);
  const norms = await takeSteps(run, {
    setGrad: (name, values) => optimizer.setGrad(name, values),
    step: (stepOptions) => optimizer[how](stepOptions),
  });
  const { state } = optimizer.stateDict();
  const result = await resultOf(run, norms, (name, { copies }) => {
    const { exp_avg, exp_avg_sq, max_exp_avg_sq } = state[name]!;
    return {
      param: optimizer.param(name),
      expAvg: exp_avg,
      expAvgSq: exp_avg_sq,
      maxExpAvgSq: max_exp_avg_sq,
      copy: copies && optimizer.copyBits(name),
    };
  });
  optimizer.dispose();
  return result;
}

/** The same by the float32 reference. */
export async function referenceRun(name: RunName, mode: Mode): Promise<Result> {
  const run: Run = RUNS[name];
  const model = new Model(mode, {});
  for (const { params, row: _, ...options } of run.groups) model.add(params, options);
  const norms = await takeSteps(run, {
    setGrad(name, values, format) {
      const { grad } = model.at(name);
      grad.set(format === "float32" ? values : decoded(format, values));
    },
    step: (options) => model.step(options),
  });
  return resultOf(run, norms, (name, { amsgrad, copies }) => {
    const { param, expAvg, expAvgSq, maxExpAvgSq } = model.at(name);
    const copy = copies && encoded(copies, param);
    return { param, expAvg, expAvgSq, maxExpAvgSq: amsgrad ? maxExpAvgSq : undefined, copy };
  });
}

/**
 * Against what the real torch.optim.Adam and AdamW did (test/torch/README.md): every recorded parameter and moment
 * after 1, 2, 10, 100 and 1,000 steps, through the public API.
 */
import { Adam, AdamW, type ParamGroup, preload } from "fused-adam";
import { describe, expect, it } from "vitest";
import { expectSameBits } from "../support/bits.js";
import { eachKind, noRelaxed, type RawKind } from "../support/wasm.js";
import { type GoldenCase, type GoldenTensor, loadGoldens } from "../torch/goldens.js";
import { gradient, initialParam } from "../torch/gradients.js";

const goldens = loadGoldens();
const MOMENTS = ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"] as const;

/** One parameter at one step: ours, torch's in both precisions, and the units that errors are told in. */
interface Snapshot {
  label: string;
  ours: GoldenTensor;
  torch32: GoldenTensor;
  torch64: GoldenTensor;
  /** Whether the gradient that enters the moments depends on the parameter: then an ulp there shows up here. */
  coupled: boolean;
  lrSteps: number;
  /** By element, the largest |gradient| so far, λ·p included. */
  largest: Float64Array;
}

function run(golden: GoldenCase, kernel: RawKind): Snapshot[] {
  const groups: ParamGroup[] = golden.groups.map(({ options, params }) => ({
    ...options,
    params: Object.fromEntries(
      params.map(({ name, length, seed }) => [name, initialParam(new Float32Array(length), seed)]),
    ),
  }));
  const optimizer = (golden.mode === "adam" ? Adam : AdamW).createSync(groups, { kernel });
  const params = golden.groups.flatMap((group) =>
    group.params.map((param) => ({ ...param, options: group.options, largest: new Float64Array(param.length) })),
  );
  const snapshots: Snapshot[] = [];
  for (let step = 1; step <= Math.max(...goldens.steps); step++) {
    for (const { name, seed, options, largest } of params) {
      const g = gradient(optimizer.grad(name), seed, step, golden.gradients);
      const lambda = golden.mode === "adam" ? options.weightDecay : 0;
      const p = optimizer.param(name);
      const sign = options.maximize ? -1 : 1;
      g.forEach((x, i) => {
        largest[i] = Math.max(largest[i]!, Math.abs(sign * x + lambda * p[i]!));
      });
    }
    optimizer.step();
    if (!goldens.steps.includes(step)) continue;
    const { state } = optimizer.stateDict();
    for (const { name, options, largest } of params) {
      const { step: _, ...moments } = state[name]!;
      const listed = Object.entries(moments).map(([key, values]) => [key, Array.from(values as Float32Array)] as const);
      snapshots.push({
        label: `step ${step}, ${name}`,
        ours: {
          param: Array.from(optimizer.param(name)),
          ...(Object.fromEntries(listed) as Omit<GoldenTensor, "param">),
        },
        torch32: golden.float32[step]![name]!,
        torch64: golden.float64[step]![name]!,
        coupled: golden.mode === "adam" && options.weightDecay !== 0,
        lrSteps: options.lr * step,
        largest: largest.slice(),
      });
    }
  }
  return snapshots;
}

const EXACT = ["simd", "scalar"] as const;
const KERNELS = [...EXACT, "relaxed"] as const;
if (!noRelaxed()) await preload({ kernel: "relaxed" });
const runs = KERNELS.flatMap((kernel) =>
  goldens.cases.map((golden) => {
    return [`${kernel}: ${golden.name}`, kernel === "relaxed" && noRelaxed() ? [] : run(golden, kernel)] as const;
  }),
);

/** Relaxed kernels are held to the float64 bounds alone: rounding otherwise than torch is what they are for. */
const exactRuns = runs.filter(([title]) => !title.startsWith("relaxed"));

/** Largest |ours − torch| / unit over all elements of all snapshots; the same keys must be there. */
function largestError(
  snapshots: readonly Snapshot[],
  precision: "torch32" | "torch64",
  keys: readonly (keyof GoldenTensor)[],
  unit: (snapshot: Snapshot, i: number, torch: number) => number,
): number {
  let worst = 0;
  for (const snapshot of snapshots) {
    for (const key of keys) {
      const torch = snapshot[precision][key];
      const ours = snapshot.ours[key];
      expect(ours?.length, `${snapshot.label} ${key}`).toBe(torch?.length);
      torch?.forEach((expected, i) => {
        const error = Math.abs(ours![i]! - expected);
        if (error > 0) worst = Math.max(worst, error / unit(snapshot, i, expected));
        if (Number.isNaN(error)) worst = Infinity;
      });
    }
  }
  return worst;
}

const SQUARES = ["exp_avg_sq", "max_exp_avg_sq"] as const;
const bySize = (_: Snapshot, __: number, torch: number) => torch;
const byGradient = ({ largest }: Snapshot, i: number) => largest[i]!;
const byTravel = ({ lrSteps }: Snapshot, _: number, torch: number) => lrSteps + Math.abs(torch);

describe("goldens", () => {
  it("18 cases: AMSGrad, maximize, two groups, decay, no decay; five steps up to 1,000; two parameters each", () => {
    expect(goldens.cases).toHaveLength(18);
    expect(goldens.steps).toEqual([1, 2, 10, 100, 1000]);
    for (const [, snapshots] of noRelaxed() ? exactRuns : runs) expect(snapshots).toHaveLength(10);
    const options = goldens.cases.flatMap(({ mode, groups }) => groups.map((group) => ({ mode, ...group.options })));
    for (const mode of ["adam", "adamw"]) {
      const ofMode = options.filter((o) => o.mode === mode);
      for (const key of ["amsgrad", "maximize", "weightDecay"] as const) {
        expect(new Set(ofMode.map((o) => Boolean(o[key]))), `${mode} ${key}`).toEqual(new Set([true, false]));
      }
    }
    expect(goldens.cases.filter(({ groups }) => groups.length === 2)).toHaveLength(2);
  });
});

describe("moments have torch's float32 bits where decay is not in the gradient; its subnormals may be 0", () => {
  it.each(exactRuns)("%s", (_, snapshots) => {
    for (const { label, ours, torch32, coupled } of snapshots) {
      if (coupled) continue;
      for (const key of MOMENTS) {
        const torch = torch32[key];
        expect(ours[key]?.length, `${label} ${key}`).toBe(torch?.length);
        if (torch === undefined) continue;
        const actual = Float32Array.from(ours[key]!);
        const flushed = torch.map((x, i) => (Math.abs(x) < 2 ** -126 && actual[i] === 0 ? 0 : x));
        expectSameBits(`${label} ${key}`, actual, Float32Array.from(flushed));
      }
    }
  });
});

describe("float32: v within 5e-7 relative, m within 3e-7 of the largest |g|, p within 2e-7 of lr·t + |p|", () => {
  it.each(exactRuns)("%s", (_, snapshots) => {
    expect(largestError(snapshots, "torch32", SQUARES, bySize)).toBeLessThan(5e-7);
    expect(largestError(snapshots, "torch32", ["exp_avg"], byGradient)).toBeLessThan(3e-7);
    expect(largestError(snapshots, "torch32", ["param"], byTravel)).toBeLessThan(2e-7);
  });
});

describe("float64: v within 3e-5 relative, m within 2e-6 of the largest |g|, p within 2e-5 of lr·t + |p|", () => {
  eachKind(runs)("%s", (_, snapshots) => {
    expect(largestError(snapshots, "torch64", SQUARES, bySize)).toBeLessThan(3e-5);
    expect(largestError(snapshots, "torch64", ["exp_avg"], byGradient)).toBeLessThan(2e-6);
    expect(largestError(snapshots, "torch64", ["param"], byTravel)).toBeLessThan(2e-5);
  });
});

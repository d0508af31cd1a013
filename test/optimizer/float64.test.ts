/**
 * Against the papers' formulas in float64 (reference64.ts), and the constants of a step against exact arithmetic. Where
 * the float32 reference shares a mistake with the kernels, this does not.
 */
import { Adam, AdamW } from "fused-adam";
import { describe, expect, it } from "vitest";
import { biasCorrection, stepConstants } from "../../src/optimizer/stepConstants.js";
import { exactPower, type ReferenceOptions } from "../reference.js";
import { type Reference64State, reference64Step } from "../reference64.js";
import { oneMinusBigPower } from "../support/bigPower.js";
import { randomBits } from "../support/data.js";

const LENGTH = 53;
const STEPS = [1, 10, 100, 1000];

const BASE: ReferenceOptions = {
  mode: "adamw",
  lr: 1e-3,
  betas: [0.9, 0.999],
  eps: 1e-8,
  weightDecay: 0.01,
  amsgrad: false,
  maximize: false,
  biasCorrection: true,
};

/** Everything at least once away from its default, in both places of the decay. */
const CASES: Record<string, Partial<ReferenceOptions>> = {
  "AdamW, defaults": {},
  "AdamW, amsgrad": { amsgrad: true },
  "AdamW, maximize": { maximize: true },
  "AdamW, no bias correction": { biasCorrection: false },
  "AdamW, no decay": { weightDecay: 0 },
  "AdamW, decay 0.3, lr 1e-2": { weightDecay: 0.3, lr: 1e-2 },
  "AdamW, beta1 0": { betas: [0, 0.999] },
  "AdamW, beta2 0": { betas: [0.9, 0] },
  "AdamW, both betas 0": { betas: [0, 0] },
  "AdamW, betas 0.95 0.98": { betas: [0.95, 0.98] },
  "AdamW, betas 0.99 0.9999": { betas: [0.99, 0.9999] },
  "AdamW, eps 0.1": { eps: 0.1 },
  "AdamW, eps 0": { eps: 0 },
  "Adam, no decay": { mode: "adam", weightDecay: 0 },
  "Adam, L2 0.01": { mode: "adam" },
  "Adam, L2 0.1, amsgrad": { mode: "adam", weightDecay: 0.1, amsgrad: true },
  "Adam, L2 0.1, maximize": { mode: "adam", weightDecay: 0.1, maximize: true },
  "Adam, L2 0.1, no bias correction, amsgrad, maximize": {
    mode: "adam",
    weightDecay: 0.1,
    biasCorrection: false,
    amsgrad: true,
    maximize: true,
  },
};

/** Where parameters start: away from zero, so that relative errors mean something, or at zero, for absolute ones. */
const STARTS = {
  "2 to 4": (next: () => number) => (next() & 1 ? 1 : -1) * (2 + 2 * (next() / 2 ** 32)),
  "0": () => 0,
};

/** Noise around a drift, each element at a magnitude of its own from 2^-10 to 2^2, and none near zero. */
function fillGradient(out: Float32Array, step: number): void {
  const next = randomBits(1000 + step);
  for (let i = 0; i < out.length; i++) {
    const sign = next() % 10 < 6 ? 1 : -1;
    out[i] = sign * (0.1 + next() / 2 ** 32) * 2 ** ((i % 13) - 10);
  }
}

interface Errors {
  step: number;
  /** Of exp_avg_sq and max_exp_avg_sq, relative. */
  squares: number;
  /** Of exp_avg, relative to the largest |g| + λ|p| so far. */
  average: number;
  /** Of the parameters, in units of lr · t. */
  absolute: number;
  /** Of the parameters, relative. */
  relative: number;
}

/** Largest errors over the elements, at each of STEPS. */
function errorsOf(options: ReferenceOptions, kernel: "simd" | "scalar", start: keyof typeof STARTS): Errors[] {
  const { mode, ...hyper } = options;
  const param = new Float32Array(LENGTH);
  const next = randomBits(1);
  param.forEach((_, i) => {
    param[i] = STARTS[start](next);
  });
  const optimizer = (mode === "adam" ? Adam : AdamW).createSync({ w: param }, { ...hyper, kernel });
  const zeros = () => new Float64Array(LENGTH);
  const state: Reference64State = {
    param: Float64Array.from(param),
    grad: zeros(),
    expAvg: zeros(),
    expAvgSq: zeros(),
    maxExpAvgSq: zeros(),
    step: 0,
  };
  const largest = zeros();
  const errors: Errors[] = [];
  for (let step = 1; step <= STEPS.at(-1)!; step++) {
    fillGradient(optimizer.grad("w"), step);
    state.grad.set(optimizer.grad("w"));
    state.grad.forEach((g, i) => {
      largest[i] = Math.max(largest[i]!, Math.abs(g) + options.weightDecay * Math.abs(state.param[i]!));
    });
    reference64Step(state, options);
    optimizer.step();
    if (!STEPS.includes(step)) continue;
    const { exp_avg, exp_avg_sq, max_exp_avg_sq } = optimizer.stateDict().state.w!;
    const ours = optimizer.param("w");
    const bySize = (_: number, value: number) => Math.abs(value);
    errors.push({
      step,
      squares: Math.max(
        largestError(exp_avg_sq, state.expAvgSq, bySize),
        options.amsgrad ? largestError(max_exp_avg_sq!, state.maxExpAvgSq, bySize) : 0,
      ),
      average: largestError(exp_avg, state.expAvg, (i) => largest[i]!),
      absolute: largestError(ours, state.param, () => options.lr * step),
      relative: largestError(ours, state.param, bySize),
    });
  }
  return errors;
}

function largestError(ours: Float32Array, theirs: Float64Array, unit: (i: number, theirs: number) => number): number {
  let worst = 0;
  ours.forEach((x, i) => {
    const error = Math.abs(x - theirs[i]!) / unit(i, theirs[i]!);
    worst = Math.max(worst, Number.isNaN(error) ? Infinity : error);
  });
  return worst;
}

const runs = (["simd", "scalar"] as const).flatMap((kernel) =>
  Object.entries(CASES).map(([name, changed]) => [`${kernel}: ${name}`, kernel, { ...BASE, ...changed }] as const),
);

const FROM_ZERO = [
  "p from 0, after t steps: v within 2e-7 + 1.5e-8 t relative",
  "m within 5e-7 of the largest |g|",
  "p within 2e-6 + 6e-9 t of lr t",
].join(", ");

describe(FROM_ZERO, () => {
  it.each(runs)("%s", (_, kernel, options) => {
    for (const { step, squares, average, absolute } of errorsOf(options, kernel, "0")) {
      expect(squares, `v at step ${step}`).toBeLessThan(2e-7 + 1.5e-8 * step);
      expect(average, `m at step ${step}`).toBeLessThan(5e-7);
      expect(absolute, `p at step ${step}`).toBeLessThan(2e-6 + 6e-9 * step);
    }
  });
});

const FROM_TWO = [
  "p from 2 to 4, after t steps: v within 2e-5 relative",
  "m within 2e-6 of the largest |g| + λ|p|",
  "p within 4e-6 relative, with decoupled decay within 2e-7 + 8e-8 t",
].join(", ");

describe(FROM_TWO, () => {
  it.each(runs)("%s", (_, kernel, options) => {
    const decoupled = options.mode === "adamw" && options.weightDecay !== 0;
    for (const { step, squares, average, relative } of errorsOf(options, kernel, "2 to 4")) {
      expect(squares, `v at step ${step}`).toBeLessThan(2e-5);
      expect(average, `m at step ${step}`).toBeLessThan(2e-6);
      expect(relative, `p at step ${step}`).toBeLessThan(decoupled ? 2e-7 + 8e-8 * step : 4e-6);
    }
  });
});

describe("the bias correction 1 - beta^t", () => {
  const betas = [
    ...[0.9, 0.999, 0.99, 0.95, 0.98, 0.8, 0.7, 0.5, 0.3, 0.1, 1 / 3, 2 / 3, 0.9999, 0.99999, 0],
    ...[1 - 2 ** -20, 1 - 2 ** -40, 1 - 2 ** -53, 2 ** -30, 1e-10, 1e-300, 5e-324],
  ];

  const close = [1e-6, 1e-8, 1e-9, 1e-10, 1e-12, 1e-14, 2 ** -52, 2 ** -50].map((x) => 1 - x);
  const next = randomBits(5);
  const random = Array.from({ length: 200 }, (_, i) => 1 - (next() / 2 ** 32) * 10 ** -(i % 8));

  /** Relative error in units of 2^-53, against 1 − β^t rounded once from 400 bits. */
  function error(beta: number, t: number): number {
    const expected = oneMinusBigPower(beta, t);
    return (Math.abs(biasCorrection(beta, t, true) - expected) / expected) * 2 ** 53;
  }

  it("is 1 − β^t with a relative error of at most 10 · 2^-53: 230 betas up to 1 - 2^-53, every t to 100, and from there to 2^53 - 1", () => {
    // 6.4 at most in a search over more than these.
    for (const beta of [...betas, ...close, ...random]) {
      for (let t = 1; t <= 100; t++) expect(error(beta, t), `${beta}^${t}`).toBeLessThanOrEqual(10);
      for (let k = 7; k <= 53; k++) {
        for (const t of [2 ** (k - 1), Math.floor(1.37 * 2 ** (k - 1)), 2 ** k - 1]) {
          expect(error(beta, t), `${beta}^${t}`).toBeLessThanOrEqual(10);
        }
      }
    }
  });

  it("at t = 1 is 1 − β", () => {
    for (const beta of [...betas, ...close, ...random]) expect(biasCorrection(beta, 1, true)).toBe(1 - beta);
  });

  it("has settled at exactly 1 once beta^t is under half an ulp, and is 1 throughout where it is switched off", () => {
    for (const beta of [0, 0.1, 0.9, 0.999, 0.9999]) {
      for (const t of [10 ** 6, 2 ** 31, 2 ** 32, 2 ** 53 - 1]) expect(biasCorrection(beta, t, true)).toBe(1);
    }
    expect(biasCorrection(0.999, 10_000, true)).toBeLessThan(1);
    for (const beta of betas) for (const t of [1, 2, 1000]) expect(biasCorrection(beta, t, false)).toBe(1);
  });
});

describe("step constants", () => {
  const out = new Float32Array(9);
  const hypers = Object.values(CASES).map((changed) => ({ ...BASE, ...changed }));

  const expectConstants = (options: ReferenceOptions, t: number, factor: number) => {
    const coupled = options.mode === "adam" && options.weightDecay !== 0;
    stepConstants(out, options, coupled, options.lr, options.weightDecay, t, factor);
    const [beta1, beta2] = options.betas;
    const correction = (beta: number) => (options.biasCorrection ? 1 - exactPower(beta, t) : 1);
    const expected = [
      beta1,
      1 - beta1,
      beta2,
      1 - beta2,
      options.lr / correction(beta1),
      1 / Math.sqrt(correction(beta2)),
      options.eps,
      coupled ? options.weightDecay : 1 - options.lr * options.weightDecay,
      factor,
    ].map(Math.fround);
    expect([...out], `${JSON.stringify(options)}, t ${t}`).toEqual(expected);
  };

  it("are formed in float64 and narrowed once, bit for bit, for every case at 9 steps in falling order", () => {
    for (const options of hypers) {
      for (const t of [3000, 1000, 999, 100, 17, 16, 3, 2, 1]) {
        expectConstants(options, t, options.maximize ? -0.3 : 0.7);
      }
    }
  });

  it("and for 300 hyper-parameters without a short float32, where narrowing anything earlier would show", () => {
    const next = randomBits(12);
    const uniform = () => next() / 2 ** 32;
    for (let i = 0; i < 300; i++) {
      const options: ReferenceOptions = {
        ...BASE,
        mode: i % 2 ? "adam" : "adamw",
        lr: uniform(),
        betas: [uniform(), 1 - uniform() / 100],
        eps: 1e-6 * uniform(),
        weightDecay: 2 * uniform(),
      };
      expectConstants(options, 1 + (next() % 300), uniform() - 0.5);
    }
  });

  it("take 1 - beta from beta itself, not from its float32: 1.3e-5 apart at 0.999", () => {
    stepConstants(out, BASE, false, BASE.lr, BASE.weightDecay, 1, 1);
    const fromNarrowed = 1 - Math.fround(0.999);
    expect(Math.abs(fromNarrowed / 0.001 - 1)).toBeGreaterThan(1.2e-5);
    expect(Math.abs(out[3]! / 0.001 - 1)).toBeLessThan(6e-8);
    expect(Math.abs(out[1]! / 0.1 - 1)).toBeLessThan(6e-8);
  });

  it("use the rate and the decay they are given, not the options' own: a schedule's values", () => {
    const other = { ...BASE, lr: 123, weightDecay: 45 };
    stepConstants(out, other, false, 0.5, BASE.weightDecay, 1, 1);
    expect(out[4]).toBe(Math.fround(0.5 / (1 - 0.9)));
    expect(out[7]).toBe(Math.fround(1 - 0.5 * 0.01));
  });
});

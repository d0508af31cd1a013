/**
 * Moments below 2^-126 become zero after every step t with t % 32 = 0, by each parameter's own count, and between those
 * steps they are what float32 makes them: the rule in test/reference.ts, through the public API.
 */
import { Adam, type AdamOptions, AdamW, type StateDict } from "fused-adam";
import { describe, expect, it } from "vitest";
import { FLUSH_EVERY } from "../reference.js";
import { isSubnormal } from "../support/bits.js";
import { randomBits } from "../support/data.js";
import { type Mode, Model, type Optimizer } from "../support/model.js";

const KERNELS = ["simd", "scalar"] as const;
type Kernel = (typeof KERNELS)[number];

/** Betas at which moments sink within a few hundred steps, as with the defaults they do within thousands. */
const FAST: AdamOptions = { betas: [0.5, 0.6], lr: 0.01 };
const VARIANTS: Record<string, readonly [Mode, AdamOptions]> = {
  AdamW: ["adamw", FAST],
  "AdamW, amsgrad": ["adamw", { ...FAST, amsgrad: true }],
  "AdamW, maximize, no bias correction": ["adamw", { ...FAST, maximize: true, biasCorrection: false }],
  Adam: ["adam", FAST],
  "Adam, amsgrad": ["adam", { ...FAST, amsgrad: true }],
};
const runs = KERNELS.flatMap((kernel) =>
  Object.entries(VARIANTS).map(([name, variant]) => [`${kernel}: ${name}`, kernel, ...variant] as const),
);

/** Gradients of either sign, 2^-75 to 2^4: their squares start below, at and far above 2^-126. */
function spread(length: number, seed: number): Float32Array {
  const next = randomBits(seed);
  return Float32Array.from({ length }, (_, i) => (next() & 1 ? 1 : -1) * (1 + next() / 2 ** 32) * 2 ** ((i % 80) - 76));
}

const PARAMS = { a: spread(37, 1), b: spread(101, 2) };

function pair(kernel: Kernel, mode: Mode, options: AdamOptions): [Optimizer, Model] {
  const optimizer = (mode === "adam" ? Adam : AdamW).createSync(PARAMS, { ...options, kernel });
  return [optimizer, new Model(mode, PARAMS, options)];
}

/** Dense gradients up to step `dense`, then zeros. */
function setGrads(optimizer: Optimizer, model: Model, step: number, dense: number): void {
  for (const name of optimizer.names) {
    const { length } = optimizer.grad(name);
    model.setGrad(optimizer, name, step <= dense ? spread(length, 10 * step + length) : 0);
  }
}

type Moment = "exp_avg" | "exp_avg_sq" | "max_exp_avg_sq";

function subnormals(state: StateDict, name: string, key: Moment): number {
  return state.state[name]?.[key]?.filter(isSubnormal).length ?? 0;
}

function allMoments({ state }: StateDict): Float32Array[] {
  return Object.values(state).flatMap(({ exp_avg, exp_avg_sq, max_exp_avg_sq }) =>
    max_exp_avg_sq === undefined ? [exp_avg, exp_avg_sq] : [exp_avg, exp_avg_sq, max_exp_avg_sq],
  );
}

describe("5 dense steps, 395 of zero gradients: no subnormals after each 32nd, the reference's bits after each", () => {
  it.each(runs)("%s", (_, kernel, mode, options) => {
    const [optimizer, model] = pair(kernel, mode, options);
    const seen = { exp_avg: 0, exp_avg_sq: 0, max_exp_avg_sq: 0 };
    for (let step = 1; step <= 400; step++) {
      setGrads(optimizer, model, step, 5);
      expect(optimizer.step()).toEqual(model.step());
      model.expectSame(optimizer, `step ${step}`);
      const state = optimizer.stateDict();
      for (const key of ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"] as const) {
        const found = subnormals(state, "a", key) + subnormals(state, "b", key);
        if (step % FLUSH_EVERY === 0) expect(found, `${key} after step ${step}`).toBe(0);
        seen[key] += found;
      }
      if (step % FLUSH_EVERY === 0) {
        expect(allMoments(state).some((values) => values.some((x) => Object.is(x, -0)))).toBe(false);
      }
    }
    // They were there in between, or nothing above says anything.
    expect(seen.exp_avg).toBeGreaterThan(500);
    expect(seen.exp_avg_sq).toBeGreaterThan(500);
    if (options.amsgrad) expect(seen.max_exp_avg_sq).toBeGreaterThan(10);
    // All sunk in the end, where without flushing they stick: x·β rounds back to x.
    const { state } = optimizer.stateDict();
    for (const { exp_avg, exp_avg_sq } of Object.values(state)) {
      for (const x of [...exp_avg, ...exp_avg_sq]) expect(x).toBe(0);
    }
  });
});

describe("default betas, 1,600 steps of zero gradients after one of 1: m is zero after step 832", () => {
  it.each(KERNELS.map((kernel) => [kernel] as const))("%s", (kernel) => {
    const [optimizer, model] = pair(kernel, "adamw", {});
    for (const name of optimizer.names) model.setGrad(optimizer, name, 1);
    let gone = 0;
    let subnormal = 0;
    for (let step = 1; step <= 1600; step++) {
      if (step === 2) for (const name of optimizer.names) model.setGrad(optimizer, name, 0);
      optimizer.step();
      model.step();
      // Every element of a tensor has the same moments.
      const m = model.at("a").expAvg[0]!;
      if (isSubnormal(m)) subnormal += 1;
      if (gone === 0 && m === 0) gone = step;
      if (step % 50 === 0 || isSubnormal(m)) model.expectSame(optimizer, `step ${step}`);
    }
    model.expectSame(optimizer, "in the end");
    // 0.1 · 0.9^(t-1) < 2^-126 first at step 809; flushed at the next multiple of 32.
    expect({ gone, subnormal }).toEqual({ gone: 832, subnormal: 23 });
  });
});

describe("a parameter is flushed by its own count: one that was skipped k times, k steps later than the other", () => {
  const skips = KERNELS.flatMap((kernel) => [1, 3, 8, 15].map((count) => [kernel, count] as const));
  it.each(skips)("%s, k = %i", (kernel, count) => {
    const [optimizer, model] = pair(kernel, "adamw", FAST);
    let apart = 0;
    for (let step = 1; step <= 100 + count; step++) {
      setGrads(optimizer, model, step, 20);
      // Not in a row, and not from the start.
      const options = step > 4 && step % 2 === 0 && step <= 4 + 2 * count ? { skip: ["b"] } : {};
      optimizer.step(options);
      model.step(options);
      model.expectSame(optimizer, `step ${step}`);
      const state = optimizer.stateDict();
      for (const name of ["a", "b"]) {
        if (state.state[name]!.step % FLUSH_EVERY !== 0) continue;
        if (options.skip !== undefined && name === "b") continue;
        const found = subnormals(state, name, "exp_avg_sq") + subnormals(state, name, "exp_avg");
        expect(found, `${name} after step ${step}`).toBe(0);
        if (subnormals(state, name === "a" ? "b" : "a", "exp_avg_sq") > 0) apart += 1;
      }
    }
    expect(optimizer.stateDict().state).toMatchObject({ a: { step: 100 + count }, b: { step: 100 } });
    expect(apart).toBeGreaterThan(3);
  });
});

describe("saved at any step mod 32 and loaded elsewhere, a run goes on bit for bit, subnormals and all", () => {
  const others = KERNELS.map((kernel) => [kernel, kernel === "simd" ? "scalar" : "simd"] as const);
  it.each(others)("from %s to %s, at steps 40 to 71, amsgrad", (from, to) => {
    const options = { ...FAST, amsgrad: true };
    const residues = new Set<number>();
    for (let saved = 40; saved < 40 + FLUSH_EVERY; saved++) {
      const [first, model] = pair(from, "adamw", options);
      for (let step = 1; step <= saved; step++) {
        setGrads(first, model, step, 30);
        first.step();
        model.step();
      }
      const state = structuredClone(first.stateDict());
      if (saved % FLUSH_EVERY > 0) expect(allMoments(state).some((values) => values.some(isSubnormal))).toBe(true);
      const params = Object.fromEntries(first.names.map((name) => [name, first.param(name).slice()]));
      first.dispose();
      const second = AdamW.createSync(params, { ...options, kernel: to });
      second.loadStateDict(state);
      for (let step = saved + 1; step <= saved + 34; step++) {
        setGrads(second, model, step, saved + 2);
        second.step();
        model.step();
        model.expectSame(second, `saved at ${saved}, step ${step}`);
      }
      residues.add(saved % FLUSH_EVERY);
    }
    expect(residues.size).toBe(FLUSH_EVERY);
  });
});

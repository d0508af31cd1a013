/**
 * The optimizer as the docs describe it, over the float32 reference: groups, schedules, step options and step counts
 * in the plainest way, sharing no code with src/.
 */
import type { Adam, AdamOptions, AdamW, Schedule, StepOptions, StepResult } from "fused-adam";
import { expect } from "vitest";
import { type ReferenceOptions, type ReferenceState, referenceNorm, referenceStep } from "../reference.js";
import { expectSameBits } from "./bits.js";

export type Optimizer = Adam | AdamW;
export type Mode = ReferenceOptions["mode"];
export type Hyper = Omit<ReferenceOptions, "mode" | "lr" | "weightDecay"> & {
  lr: number | Schedule;
  weightDecay: number | Schedule;
};

/** PyTorch's defaults, stated a second time. */
export const DEFAULTS = {
  adam: { lr: 0.001, eps: 1e-8, weightDecay: 0, amsgrad: false, maximize: false, biasCorrection: true },
  adamw: { lr: 0.001, eps: 1e-8, weightDecay: 0.01, amsgrad: false, maximize: false, biasCorrection: true },
} as const satisfies Record<Mode, Omit<Hyper, "betas">>;

export function hyperOf(mode: Mode, options: AdamOptions = {}): Hyper {
  return { ...DEFAULTS[mode], betas: [0.9, 0.999], ...options } as Hyper;
}

export interface ModelGroup {
  readonly hyper: Hyper;
  readonly names: readonly string[];
}

export class Model {
  readonly groups: ModelGroup[] = [];
  readonly tensors = new Map<string, ReferenceState>();

  constructor(
    readonly mode: Mode,
    params: Readonly<Record<string, Float32Array>>,
    readonly options: AdamOptions = {},
  ) {
    this.add(params);
  }

  add(params: Readonly<Record<string, Float32Array>>, options: AdamOptions = {}): this {
    const names = Object.keys(params);
    this.groups.push({ hyper: hyperOf(this.mode, { ...this.options, ...options }), names });
    for (const name of names) {
      const zeros = () => new Float32Array(params[name]!.length);
      const moments = { expAvg: zeros(), expAvgSq: zeros(), maxExpAvgSq: zeros() };
      this.tensors.set(name, { param: params[name]!.slice(), grad: zeros(), ...moments, step: 0 });
    }
    return this;
  }

  at(name: string): ReferenceState {
    return this.tensors.get(name)!;
  }

  get largestStep(): number {
    return Math.max(...[...this.tensors.values()].map(({ step }) => step));
  }

  /** Gradients must be such that the sum of their squares is exact, in whatever order: `dyadic` makes them. */
  step(options: StepOptions = {}): StepResult {
    const { clipNorm, gradScale = 1, skipNonFinite = false, zeroGrad = false } = options;
    const skip = new Set(options.skip);
    const active = [...this.tensors].filter(([name]) => !skip.has(name)).map(([, tensor]) => tensor);
    const measured = clipNorm !== undefined || skipNonFinite;
    const own = referenceNorm(
      active.map(({ grad }) => grad),
      gradScale,
    );
    const gradNorm = options.gradNorm ?? own;
    const skipped = measured && !Number.isFinite(gradNorm);
    if (!skipped) {
      const clip = clipNorm === undefined || gradNorm <= clipNorm ? 1 : clipNorm / gradNorm;
      for (const group of this.groups) this.#stepGroup(group, clip / gradScale, skip);
    }
    if (zeroGrad) for (const { grad } of this.tensors.values()) grad.fill(0);
    return { step: this.largestStep, skipped, ...(measured ? { gradNorm } : {}) };
  }

  #stepGroup({ hyper, names }: ModelGroup, factor: number, skip: ReadonlySet<string>): void {
    const active = names.filter((name) => !skip.has(name));
    if (active.length === 0) return;
    const t = Math.max(...names.map((name) => this.at(name).step + (skip.has(name) ? 0 : 1)));
    const at = (value: number | Schedule) => (typeof value === "number" ? value : value(t));
    const rates = { lr: at(hyper.lr), weightDecay: at(hyper.weightDecay) };
    for (const name of active) referenceStep(this.at(name), { mode: this.mode, ...hyper, ...rates }, factor);
  }

  /** Gives both the same gradients. */
  setGrad(optimizer: Optimizer, name: string, values: Float32Array | number): void {
    for (const grad of [this.at(name).grad, optimizer.grad(name)]) {
      if (typeof values === "number") grad.fill(values);
      else grad.set(values);
    }
  }

  /** Every gradient anew, the same in both. */
  fillGrads(optimizer: Optimizer, seed: number): void {
    for (const [name, { grad }] of this.tensors) this.setGrad(optimizer, name, dyadic(grad.length, seed++));
  }

  /** Parameters, gradients, moments and step counts, bit for bit, and nothing else. */
  expectSame(optimizer: Optimizer, when = ""): void {
    const { state, param_groups } = optimizer.stateDict();
    expect(Object.keys(state).sort(), when).toEqual([...this.tensors.keys()].sort());
    expect(
      param_groups.map(({ params }) => params),
      when,
    ).toEqual(this.groups.map(({ names }) => names));
    for (const { hyper, names } of this.groups) {
      for (const name of names) {
        const tensor = this.at(name);
        const entry = state[name]!;
        expect(entry.step, `${when} step of ${name}`).toBe(tensor.step);
        expectSameBits(`${when} grad of ${name}`, optimizer.grad(name), tensor.grad);
        expectSameBits(`${when} expAvg of ${name}`, entry.exp_avg, tensor.expAvg);
        expectSameBits(`${when} expAvgSq of ${name}`, entry.exp_avg_sq, tensor.expAvgSq);
        if (hyper.amsgrad) {
          expectSameBits(`${when} maxExpAvgSq of ${name}`, entry.max_exp_avg_sq!, tensor.maxExpAvgSq);
        }
        expectSameBits(`${when} param of ${name}`, optimizer.param(name), tensor.param);
      }
    }
  }
}

/** Multiples of 2^-10 up to 4: few enough bits that sums of squares are exact in float64. */
export function dyadic(length: number, seed: number): Float32Array {
  let state = Math.imul(seed + 1, 0x9e3779b1) >>> 0;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return ((state >>> 16) - 32768) / 8192;
  });
}

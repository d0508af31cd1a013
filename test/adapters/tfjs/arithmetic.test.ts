/** Steps on every backend, bit for bit against the float32 reference: values, moments, and which constants meet which variable. */
import { adam, adamw, type FusedOptimizer, type TfjsOptions } from "fused-adam/tfjs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { expectSameBits } from "../../support/bits.js";
import { dyadic, Model } from "../../support/model.js";
import { BACKENDS, tf, use, type Variable } from "../../support/tfjs.js";

const SHAPES: Record<string, number[]> = { w: [3, 7], bias: [5], scalar: [], t: [2, 3, 4], none: [0, 4] };
const MATRICES = ["w", "t", "none"];
const make = { adam, adamw };
type Mode = keyof typeof make;

/** An optimizer of tfjs over variables of every rank, and the reference over the same values, one group per rule. */
class Pair {
  readonly variables: Record<string, Variable> = {};
  readonly model: Model;
  readonly optimizer: FusedOptimizer;
  #seed = 100;

  constructor(
    mode: Mode,
    options: TfjsOptions,
    rule: (name: string) => { decay: boolean; factor: number } = (name) => ({
      decay: MATRICES.includes(name),
      factor: 1,
    }),
  ) {
    const { clipNorm: _, gradScale: __, skipNonFinite: ___, decay: ____, lrFactor: _____, ...hyper } = options;
    const { lr = 1e-3, weightDecay = mode === "adam" ? 0 : 0.01 } = hyper;
    const groups: [string, Float32Array, object][] = Object.entries(SHAPES).map(([name, shape], i) => {
      const values = dyadic(tf.util.sizeFromShape(shape), i);
      this.variables[name] = tf.tidy(() => tf.variable(tf.tensor(values.slice(), shape, "float32"), true, name));
      const { decay, factor } = rule(name);
      const scaled = typeof lr === "number" ? lr * factor : (step: number) => lr(step) * factor;
      return [name, values, { lr: scaled, weightDecay: decay ? weightDecay : 0 }];
    });
    const [first, ...rest] = groups;
    this.model = new Model(mode, { [first![0]]: first![1] }, { ...hyper, ...first![2] });
    for (const [name, values, own] of rest) this.model.add({ [name]: values }, { ...hyper, ...own });
    this.optimizer = make[mode](tf, options);
  }

  /** @param without variables that have no gradient this time */
  step(options: Parameters<Model["step"]>[0] = {}, without: readonly string[] = []): void {
    const gradients = Object.entries(this.variables).map(([name, { shape }]) => {
      const values = dyadic(tf.util.sizeFromShape(shape), this.#seed++);
      this.model.at(name).grad.set(values);
      return { name, tensor: without.includes(name) ? null! : tf.tensor(values, shape, "float32") };
    });
    const { skipped } = this.model.step({ ...options, skip: without });
    this.optimizer.applyGradients(gradients);
    expect(this.optimizer.lastStep!.skipped).toBe(skipped);
    tf.dispose(gradients.map(({ tensor }) => tensor));
  }

  async expectSame(): Promise<void> {
    const weights = await this.optimizer.getWeights();
    for (const [name, variable] of Object.entries(this.variables)) {
      const { param, expAvg, expAvgSq, maxExpAvgSq } = this.model.at(name);
      expectSameBits(name, variable.dataSync() as Float32Array, param);
      const suffixes = { "/m": expAvg, "/v": expAvgSq, ...(this.model.options.amsgrad && { "/vhat": maxExpAvgSq }) };
      for (const [suffix, moment] of Object.entries(suffixes)) {
        const weight = weights.find((weight) => weight.name === name + suffix)!;
        expectSameBits(weight.name, weight.tensor.dataSync() as Float32Array, moment);
      }
    }
  }
}

describe.each(BACKENDS)("%s", (backend) => {
  beforeEach(() => use(backend));
  afterEach(() => tf.disposeVariables());

  const cosine = (step: number) => 0.01 * (1 + Math.cos(step / 20));
  const CASES: Record<string, TfjsOptions> = {
    defaults: {},
    "other hyper-parameters": { lr: 0.01, betas: [0.8, 0.97], eps: 1e-3, weightDecay: 0.25 },
    amsgrad: { lr: 0.01, amsgrad: true, weightDecay: 0.125 },
    "ascent without bias correction": { lr: 0.01, maximize: true, biasCorrection: false },
    "a schedule": { lr: cosine, weightDecay: 0.125 },
    "a schedule of the decay": { lr: 0.01, weightDecay: (step) => (step % 5 === 0 ? 0 : 0.5 / step) },
    "the TypeScript kernels": { lr: 0.01, kernel: "scalar", weightDecay: 0.125 },
  };
  describe.each(["adam", "adamw"] as const)("%s", (mode) => {
    it.each(Object.entries(CASES))("%s, 70 steps", async (_, options) => {
      const pair = new Pair(mode, options);
      for (let i = 0; i < 70; i++) pair.step();
      await pair.expectSame();
      expect(pair.optimizer.iterations).toBe(70);
    });

    it("own rules for decay and rate", async () => {
      const decay = (name: string, shape: readonly number[]) => name === "bias" || shape.length === 3;
      const lrFactor = (name: string) => ({ w: 0.5, t: 2, scalar: 0 })[name] ?? 1;
      const rule = (name: string) => ({ decay: decay(name, SHAPES[name]!), factor: lrFactor(name) });
      for (const lr of [0.01, cosine]) {
        const pair = new Pair(mode, { lr, weightDecay: 0.25, decay, lrFactor }, rule);
        for (let i = 0; i < 20; i++) pair.step();
        await pair.expectSame();
        tf.disposeVariables();
      }
    });

    it("clipNorm and gradScale", async () => {
      const options = { clipNorm: 0.5, gradScale: 8 };
      const pair = new Pair(mode, { lr: 0.01, weightDecay: 0.25, ...options });
      for (let i = 0; i < 20; i++) pair.step(options);
      await pair.expectSame();
      expect(pair.optimizer.lastStep!.gradNorm).toBeGreaterThan(0.5);
    });
  });

  it("a variable without a gradient keeps values, moments and step", async () => {
    const pair = new Pair("adamw", { lr: 0.01, weightDecay: 0.25 });
    for (let i = 0; i < 12; i++) pair.step({}, i % 3 === 0 ? ["w", "scalar"] : i % 3 === 1 ? ["bias"] : []);
    await pair.expectSame();
    expect(pair.model.at("w").step).toBe(8);
    pair.step({}, Object.keys(SHAPES));
    await pair.expectSame();
  });

  it("skipNonFinite: nothing changes, and the step does not count", async () => {
    const pair = new Pair("adamw", { skipNonFinite: true, clipNorm: 1 });
    pair.step({ skipNonFinite: true, clipNorm: 1 });
    const { bias } = pair.variables;
    const gradients = { bias: tf.tensor([1, NaN, 1, 1, 1]) };
    pair.optimizer.applyGradients(gradients);
    expect(pair.optimizer.lastStep).toEqual({ step: 1, skipped: true, gradNorm: NaN });
    expect(pair.optimizer.iterations).toBe(1);
    expectSameBits("bias", bias!.dataSync() as Float32Array, pair.model.at("bias").param);
    pair.step({ skipNonFinite: true, clipNorm: 1 });
    await pair.expectSame();
    tf.dispose(gradients);
  });

  it("learningRate, assigned between steps, as a number and as a schedule", async () => {
    const pair = new Pair(
      "adamw",
      { lr: 0.01, weightDecay: 0.25, lrFactor: (name) => (name === "w" ? 0.5 : 1) },
      (name) => ({
        decay: MATRICES.includes(name),
        factor: name === "w" ? 0.5 : 1,
      }),
    );
    const assign = (lr: number | ((step: number) => number)) => {
      pair.optimizer.learningRate = lr;
      for (const { hyper, names } of pair.model.groups) {
        const factor = names[0] === "w" ? 0.5 : 1;
        hyper.lr = typeof lr === "number" ? lr * factor : (step) => lr(step) * factor;
      }
    };
    expect(pair.optimizer.learningRate).toBe(0.01);
    pair.step();
    assign(0.003);
    expect(pair.optimizer.learningRate).toBe(0.003);
    pair.step();
    assign(cosine);
    pair.step();
    pair.step();
    expect(pair.optimizer.learningRate).toBe(cosine(4));
    await pair.expectSame();
  });

  it("variables that appear later join with a step count of their own", async () => {
    const pair = new Pair("adamw", { lr: 0.01, weightDecay: 0.25 });
    pair.step();
    const variable = tf.tidy(() => tf.variable(tf.tensor(dyadic(6, 50), [2, 3], "float32"), true, "late"));
    pair.variables.late = variable;
    pair.model.add({ late: dyadic(6, 50) }, { lr: 0.01, weightDecay: 0.25 });
    for (let i = 0; i < 5; i++) pair.step();
    await pair.expectSame();
    expect(pair.model.at("late").step).toBe(5);
  });

  it("both forms of gradients, in any order, which stay as they were", () => {
    const gradients = { w: tf.ones([3, 7]), bias: tf.ones([5]) };
    const forms = [
      gradients,
      [
        { name: "bias", tensor: gradients.bias },
        { name: "w", tensor: gradients.w },
      ],
    ];
    const after = forms.map((form) => {
      const pair = new Pair("adamw", {});
      pair.step();
      pair.optimizer.applyGradients(form);
      const { w, bias } = pair.variables;
      expect(pair.optimizer.iterations).toBe(2);
      const values = [...w!.dataSync(), ...bias!.dataSync()];
      tf.disposeVariables();
      return values;
    });
    expect(after[0]).toEqual(after[1]);
    for (const gradient of Object.values(gradients))
      expect(gradient.dataSync().every((value) => value === 1)).toBe(true);
    tf.dispose(gradients);
  });
});

/** State dicts: what they hold, and that save, load, go on is as never having stopped. */
import { Adam, type AdamOptions, AdamW, type Schedule, type StateDict } from "fused-adam";
import { describe, expect, it } from "vitest";
import { FLUSH_EVERY } from "../reference.js";
import { expectSamePrint, fillGrads, fingerprint, stateError, Twins } from "../support/api.js";
import { expectSameBits } from "../support/bits.js";
import { dyadic, Model, type Optimizer } from "../support/model.js";

const falling: Schedule = (step) => 0.25 / (1 + step);

/** Groups that differ in everything, `seed` deciding the values the parameters start from. */
function make(seed: number, kernel: "simd" | "scalar" = "simd", others: AdamOptions = {}): AdamW {
  const values = (length: number) => dyadic(length, seed * length);
  const groups = [
    { params: { w: values(37), b: values(5), n: { shape: [0] } } },
    { params: { c: values(16), d: values(1) }, amsgrad: true, weightDecay: 0.5, betas: [0.5, 0.75] as const },
    { params: { e: values(20), f: values(3) }, lr: falling, eps: 1e-4 },
    { params: { g: values(8) }, biasCorrection: false, maximize: true, amsgrad: true, ...others },
  ];
  return AdamW.createSync(groups, { kernel, lr: 0.01, ...others });
}

/** Some steps of a run in which everything happens that moves steps or hyper-parameters apart. */
function train(optimizer: Optimizer, from: number, to: number): void {
  for (let step = from; step < to; step++) {
    fillGrads(optimizer, step);
    const skip = step % 5 === 3 ? ["b", "e"] : step % 7 === 2 ? ["c", "d"] : [];
    if (step % 11 === 4) optimizer.grad("w")[36] = NaN;
    optimizer.step({ skip, clipNorm: step % 2 ? 5 : 1e9, gradScale: 1 + (step % 3), zeroGrad: step % 4 === 0 });
    if (step % 13 === 6) {
      const group = optimizer.paramGroups[step % 2]!;
      Object.assign(group, { lr: 1 / (step + 2), betas: [0.8, 1 - 1 / (step + 2)], eps: 1e-8 * step });
      Object.assign(group, { weightDecay: 0.001 * step, maximize: step % 3 === 0, biasCorrection: step % 5 !== 0 });
    }
  }
}

const copyParams = (to: Optimizer, from: Optimizer) => {
  for (const name of from.names) to.param(name).set(from.param(name));
};

describe.each(["simd", "scalar"] as const)("%s", (kernel) => {
  it.each([0, 1, 7, FLUSH_EVERY - 1, 100])("after %d steps: save, load, go on = never stopped", (steps) => {
    const original = make(1, kernel);
    train(original, 0, steps);
    const dict = structuredClone(original.stateDict());

    // Made from other values and options, and used before: all of that must be gone.
    const resumed = make(9, kernel);
    for (const group of resumed.paramGroups) Object.assign(group, { betas: [0.1, 0.2], eps: 3, weightDecay: 7 });
    train(resumed, 50, 53);
    resumed.loadStateDict(dict);
    copyParams(resumed, original);
    for (const name of original.names) resumed.grad(name).set(original.grad(name));
    expectSamePrint(fingerprint(resumed), fingerprint(original));
    for (const optimizer of [original, resumed]) train(optimizer, steps, steps + 40);
    expectSamePrint(fingerprint(resumed), fingerprint(original));
  });

  it("another kernel goes on with the same bits", () => {
    const original = make(1, kernel);
    train(original, 0, 20);
    const resumed = make(2, kernel === "simd" ? "scalar" : "simd");
    resumed.loadStateDict(original.stateDict());
    copyParams(resumed, original);
    for (const optimizer of [original, resumed]) {
      optimizer.zeroGrad();
      train(optimizer, 20, 40);
    }
    expectSamePrint(fingerprint(resumed), fingerprint(original));
  });
});

it("groups, and names within them, may come in any other order", () => {
  const original = make(1);
  train(original, 0, 10);
  const other = AdamW.createSync([
    { params: { g: { shape: [8] } }, amsgrad: true },
    { params: { f: { shape: [3] }, e: { shape: [5, 4] } }, lr: falling },
    { params: { n: { shape: [0] }, b: { shape: [5] }, w: { shape: [37] } } },
    { params: { d: { shape: [] }, c: { shape: [4, 4] } }, amsgrad: true },
  ]);
  const dict = original.stateDict();
  dict.state = Object.fromEntries(Object.entries(dict.state).toReversed());
  for (const group of dict.param_groups) group.params.reverse();
  other.loadStateDict(dict);
  copyParams(other, original);
  for (let step = 0; step < 20; step++) {
    for (const [i, name] of original.names.entries()) {
      const grad = dyadic(original.grad(name).length, step + i);
      original.grad(name).set(grad);
      other.grad(name).set(grad);
    }
    expect(other.step({ clipNorm: 100 })).toEqual(original.step({ clipNorm: 100 }));
  }
  for (const name of original.names) expectSameBits(name, other.param(name), original.param(name));
  const [a, b] = [original.stateDict(), other.stateDict()];
  expect(b.state).toEqual(a.state);
  const byName = (groups: StateDict["param_groups"]) =>
    groups
      .map((group) => ({ ...group, params: group.params.toSorted() }))
      .sort((x, y) => (x.params < y.params ? -1 : 1));
  expect(byName(b.param_groups)).toEqual(byName(a.param_groups));
});

describe("what a state dict holds", () => {
  it("an entry for every parameter from the start: step 0 and zeros, under PyTorch's keys", () => {
    const { state, param_groups } = make(1).stateDict();
    const zeros = (length: number) => new Float32Array(length);
    const plain = (length: number) => ({ step: 0, exp_avg: zeros(length), exp_avg_sq: zeros(length) });
    const ams = (length: number) => ({ ...plain(length), max_exp_avg_sq: zeros(length) });
    const entries = {
      w: plain(37),
      b: plain(5),
      n: plain(0),
      c: ams(16),
      d: ams(1),
      e: plain(20),
      f: plain(3),
      g: ams(8),
    };
    expect(state).toStrictEqual(entries);
    const group = { lr: 0.01, betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.01 };
    const flags = { amsgrad: false, maximize: false, bias_correction: true, decoupled_weight_decay: true };
    expect(param_groups).toStrictEqual([
      { ...group, ...flags, params: ["w", "b", "n"] },
      { ...group, ...flags, weight_decay: 0.5, betas: [0.5, 0.75], amsgrad: true, params: ["c", "d"] },
      { ...group, ...flags, lr: 0.125, eps: 1e-4, params: ["e", "f"] },
      { ...group, ...flags, amsgrad: true, maximize: true, bias_correction: false, params: ["g"] },
    ]);
  });

  it("the moments and steps of the reference, and no more than these keys", () => {
    const params = { a: dyadic(9, 1), b: dyadic(20, 2) };
    const optimizer = Adam.createSync(params, { amsgrad: true, weightDecay: 0.5 });
    const model = new Model("adam", params, { amsgrad: true, weightDecay: 0.5 });
    for (let step = 0; step < 20; step++) {
      model.fillGrads(optimizer, step);
      const skip = step % 3 ? [] : ["a"];
      optimizer.step({ skip });
      model.step({ skip });
    }
    const dict = optimizer.stateDict();
    expect(Object.keys(dict)).toEqual(["state", "param_groups"]);
    for (const name of ["a", "b"]) {
      const { step, expAvg, expAvgSq, maxExpAvgSq } = model.at(name);
      const expected = { step, exp_avg: expAvg, exp_avg_sq: expAvgSq, max_exp_avg_sq: maxExpAvgSq };
      expect(dict.state[name]).toStrictEqual(expected);
    }
  });

  it("copies: neither side sees what the other does to its own", () => {
    const twins = new Twins(() => make(1));
    const { victim } = twins;
    train(victim, 0, 3);
    train(twins.twin, 0, 3);
    const dict = victim.stateDict();
    const kept = structuredClone(dict);
    train(victim, 3, 6);
    train(twins.twin, 3, 6);
    expect(dict).toStrictEqual(kept);
    for (const entry of Object.values(dict.state)) {
      expect(entry.exp_avg.buffer).not.toBe(victim.memory.buffer);
      for (const values of [entry.exp_avg, entry.exp_avg_sq, entry.max_exp_avg_sq]) values?.fill(NaN);
      entry.step = -1;
    }
    for (const group of dict.param_groups) {
      group.betas.fill(NaN);
      group.params.length = 0;
    }
    twins.step();
    // And the other way: what was loaded is the optimizer's own.
    for (const optimizer of [victim, twins.twin]) optimizer.loadStateDict(kept);
    for (const entry of Object.values(kept.state))
      for (const values of [entry.exp_avg, entry.exp_avg_sq]) values.fill(NaN);
    for (const group of kept.param_groups) group.betas.fill(0.5);
    twins.twin.loadStateDict(victim.stateDict());
    twins.step();
    expect(victim.stateDict().state.w!.exp_avg.some(Number.isNaN)).toBe(false);
    expect(victim.paramGroups[0]!.betas).not.toEqual([0.5, 0.5]);
  });

  it("loading leaves parameters and gradients alone", () => {
    const [from, to] = [make(1), make(2)];
    train(from, 0, 5);
    fillGrads(to, 3);
    const before = to.names.flatMap((name) => [to.param(name).slice(), to.grad(name).slice()]);
    to.loadStateDict(from.stateDict());
    expect(to.names.flatMap((name) => [to.param(name), to.grad(name)])).toEqual(before);
  });
});

describe("schedules", () => {
  const lrs = (optimizer: Optimizer) => optimizer.stateDict().param_groups.map(({ lr }) => lr);
  const one = (lr: number | Schedule) => AdamW.createSync({ a: dyadic(3, 1), b: dyadic(2, 2) }, { lr });

  it("the rate is the value last used; before the first step, the value at 1", () => {
    const optimizer = one(falling);
    expect(lrs(optimizer)).toEqual([0.125]);
    optimizer.step();
    expect(lrs(optimizer)).toEqual([0.125]);
    optimizer.step();
    expect(lrs(optimizer)).toEqual([0.25 / 3]);
    // Neither a step that is skipped nor one that leaves out the whole group uses a rate.
    optimizer.grad("a")[0] = NaN;
    optimizer.step({ skipNonFinite: true });
    optimizer.step({ skip: ["a", "b"] });
    expect(lrs(optimizer)).toEqual([0.25 / 3]);
    optimizer.step({ skip: ["a"] });
    expect(lrs(optimizer)).toEqual([0.25 / 4]);
  });

  it("what was used stays what was used, though the schedule would say otherwise by now", () => {
    let factor = 1;
    const optimizer = one((step) => factor / step);
    optimizer.step();
    factor = 5;
    expect(lrs(optimizer)).toEqual([1]);
  });

  it("loading keeps the schedule, which goes on from the loaded step", () => {
    const from = one(falling);
    for (let step = 0; step < 9; step++) from.step();
    const to = one(falling);
    const dict = from.stateDict();
    dict.param_groups[0]!.lr = 0.375;
    to.loadStateDict(dict);
    expect(to.paramGroups[0]!.lr).toBe(falling);
    expect(lrs(to)).toEqual([0.375]);
    expect(lrs(structuredCloneOf(to))).toEqual([0.375]);
    to.step();
    expect(lrs(to)).toEqual([falling(10)]);
  });

  it("loading replaces a number, also by what a schedule last gave", () => {
    const from = one(falling);
    from.step();
    const to = one(7);
    to.loadStateDict(from.stateDict());
    expect(to.paramGroups[0]!.lr).toBe(0.125);
    // And a schedule assigned later is a schedule again.
    to.paramGroups[0]!.lr = (step) => step / 2;
    to.step();
    expect(lrs(to)).toEqual([1]);
  });

  function structuredCloneOf(optimizer: Optimizer): Optimizer {
    const copy = one(falling);
    copy.loadStateDict(structuredClone(optimizer.stateDict()));
    return copy;
  }
});

describe("large step counts", () => {
  const options = { betas: [1 - 2 ** -25, 1 - 2 ** -30] as const, amsgrad: true, lr: 0.5 };
  const params = () => ({ a: dyadic(19, 1), b: dyadic(4, 2) });
  const at = (steps: Record<string, number>) => {
    const optimizer = AdamW.createSync(params(), options);
    const model = new Model("adamw", params(), options);
    model.fillGrads(optimizer, 1);
    optimizer.step();
    model.step();
    const dict = optimizer.stateDict();
    for (const [name, step] of Object.entries(steps)) {
      dict.state[name]!.step = step;
      model.at(name).step = step;
    }
    optimizer.loadStateDict(dict);
    return { optimizer, model };
  };

  it.each([2 ** 24, 2 ** 31, 2 ** 32, 2 ** 53 - 10])("around %d: counted exactly", (near) => {
    for (const start of [near - 3, near - 2]) {
      const { optimizer, model } = at({ a: start, b: start - 1 });
      for (let i = 1; i <= 6; i++) {
        model.fillGrads(optimizer, i);
        expect(optimizer.step()).toEqual({ step: start + i, skipped: false });
        model.step();
        model.expectSame(optimizer, `${start} + ${i}`);
      }
    }
  });

  it("2^53 - 1 steps can be reached, saved and loaded, and are the last", async () => {
    const last = Number.MAX_SAFE_INTEGER;
    const { optimizer, model } = at({ a: last - 1, b: 5 });
    model.fillGrads(optimizer, 1);
    expect(optimizer.step()).toEqual({ step: last, skipped: false });
    model.step();
    model.expectSame(optimizer);
    optimizer.loadStateDict(structuredClone(optimizer.stateDict()));
    model.expectSame(optimizer);

    const full = () => at({ a: 7, b: last - 2 }).optimizer;
    const twins = new Twins(full);
    expect(twins.victim.stateDict().state.b!.step).toBe(last);
    const { victim, twin } = twins;
    for (const one of [victim, twin]) fillGrads(one, 3);
    const before = fingerprint(victim);
    for (const how of [{}, { zeroGrad: true, clipNorm: 1 }]) {
      expect(() => victim.step(how)).toThrow(expect.objectContaining({ code: "ERR_STEP_LIMIT", constructor: Error }));
      await expect(victim.stepAsync(how)).rejects.toMatchObject({ code: "ERR_STEP_LIMIT" });
    }
    expectSamePrint(fingerprint(victim), before);
    // The others may go on without it.
    const skip = { skip: ["b"], clipNorm: 1 };
    expect(victim.step(skip)).toEqual(twin.step(skip));
    expectSamePrint(fingerprint(victim), fingerprint(twin));
  });

  it("the last step is refused by name and kind", async () => {
    const { optimizer } = at({ a: Number.MAX_SAFE_INTEGER });
    const error = await optimizer.stepAsync().catch((reason: unknown) => reason);
    expect((error as Error).message).toMatch(/^"[^"]+": expected .+, got .+$/);
    expect(error).toMatchObject({ code: stateError("step", "ERR_STEP_LIMIT").code });
  });
});

it("a schedule that is assigned in mid-run: lr is the value last used until the schedule's first step", () => {
  const optimizer = AdamW.createSync({ w: new Float32Array(3) }, { lr: 0.5 });
  optimizer.step();
  optimizer.paramGroups[0]!.lr = (step) => 1 / step;
  expect(optimizer.stateDict().param_groups[0]!.lr).toBe(0.5);
  optimizer.step();
  expect(optimizer.stateDict().param_groups[0]!.lr).toBe(1 / 2);
  optimizer.paramGroups[0]!.lr = 0.125;
  expect(optimizer.stateDict().param_groups[0]!.lr).toBe(0.125);
});

/** `weightDecay` as a function of the step. */
import { Adam, AdamW, type Schedule } from "fused-adam";
import { describe, expect, it } from "vitest";
import { expectSamePrint, fillGrads, fingerprint, rangeError, Twins, typeError } from "../support/api.js";
import { dyadic, Model, type Optimizer } from "../support/model.js";

/** None at every third step, so that coupled decay changes kernels. */
const waning: Schedule = (step) => (step % 3 === 0 ? 0 : 0.5 / step);
const params = () => ({ a: dyadic(37, 1), b: dyadic(16, 2), c: dyadic(3, 3) });
const CLASSES = { adam: Adam, adamw: AdamW };
const decays = (optimizer: Optimizer) => optimizer.stateDict().param_groups.map(({ weight_decay }) => weight_decay);

describe.each(["adam", "adamw"] as const)("%s", (mode) => {
  const Class = CLASSES[mode];

  it.each(["simd", "scalar"] as const)("%s: the reference's bits, with parameters that are skipped", (kernel) => {
    const options = { lr: (step: number) => 0.25 / step, weightDecay: waning };
    const model = new Model(mode, params(), options);
    const optimizer = Class.createSync(params(), { ...options, kernel });
    for (let step = 0; step < 20; step++) {
      model.fillGrads(optimizer, step);
      const how = { skip: step % 4 === 1 ? ["b"] : [], clipNorm: 3, gradScale: 2 };
      expect(optimizer.step(how)).toEqual(model.step(how));
      model.expectSame(optimizer, `step ${step}`);
    }
  });

  it("the same bits as a number that is assigned before every step", () => {
    const scheduled = Class.createSync(params(), { weightDecay: waning });
    const assigned = Class.createSync(params());
    for (let step = 1; step <= 12; step++) {
      assigned.paramGroups[0]!.weightDecay = waning(step);
      for (const optimizer of [scheduled, assigned]) {
        fillGrads(optimizer, step);
        optimizer.step();
      }
      expect(scheduled.stateDict()).toEqual(assigned.stateDict());
    }
    for (const name of scheduled.names) expect(scheduled.param(name)).toEqual(assigned.param(name));
  });
});

it("is called once per step and group, with the same t as lr, and not for a group that is skipped", () => {
  const asked: string[] = [];
  const noting = (what: string) => (step: number) => {
    asked.push(`${what} ${step}`);
    return 0.25;
  };
  const groups = ["a", "b"].map((name) => ({
    params: { [name]: dyadic(3, 1), [`${name}2`]: dyadic(2, 1) },
    lr: noting(`lr of ${name}`),
    weightDecay: noting(`decay of ${name}`),
  }));
  const optimizer = AdamW.createSync(groups);
  optimizer.step();
  expect(asked.splice(0)).toEqual(["lr of a 1", "decay of a 1", "lr of b 1", "decay of b 1"]);
  optimizer.step({ skip: ["b", "b2", "a2"] });
  expect(asked.splice(0)).toEqual(["lr of a 2", "decay of a 2"]);
});

it("a state dict has the value last used; before the first step, the value at 1; loading keeps the schedule", () => {
  const make = (weightDecay: number | Schedule) => AdamW.createSync(params(), { weightDecay });
  const from = make((step) => 1 / (1 + step));
  expect(decays(from)).toEqual([1 / 2]);
  for (let step = 0; step < 3; step++) from.step();
  expect(decays(from)).toEqual([1 / 4]);
  from.grad("a")[0] = NaN;
  from.step({ skipNonFinite: true });
  expect(decays(from)).toEqual([1 / 4]);

  const to = make((step) => 1 / (10 + step));
  to.loadStateDict(from.stateDict());
  expect(decays(to)).toEqual([1 / 4]);
  expect(typeof to.paramGroups[0]!.weightDecay).toBe("function");
  to.step();
  expect(decays(to)).toEqual([1 / 14]);
  const constant = make(7);
  constant.loadStateDict(from.stateDict());
  expect(constant.paramGroups[0]!.weightDecay).toBe(1 / 4);
});

it("save, load, go on = never stopped", () => {
  const make = () => Adam.createSync(params(), { weightDecay: waning });
  const straight = make();
  const run = (optimizer: Optimizer, from: number, to: number) => {
    for (let step = from; step < to; step++) {
      fillGrads(optimizer, step);
      optimizer.step();
    }
  };
  run(straight, 0, 7);
  const resumed = make();
  resumed.loadStateDict(straight.stateDict());
  for (const name of straight.names) {
    resumed.param(name).set(straight.param(name));
    resumed.grad(name).set(straight.grad(name));
  }
  for (const optimizer of [straight, resumed]) run(optimizer, 7, 15);
  expectSamePrint(fingerprint(resumed), fingerprint(straight));
});

it("a value that is not legal is refused at the step, by name, and nothing changes", async () => {
  let bad: unknown;
  const schedule = () => (bad === undefined ? 0.5 : (bad as { value: number }).value);
  for (const [value, error] of [
    [NaN, rangeError(/^weightDecay\(\d\)$/)],
    [-1, rangeError(/^weightDecay\(\d\)$/)],
    [Infinity, rangeError(/^weightDecay\(\d\)$/)],
    ["0.1", typeError(/^weightDecay\(\d\)$/)],
    [undefined, typeError(/^weightDecay\(\d\)$/)],
  ] as const) {
    const make = () => {
      const optimizer = AdamW.createSync(params(), { weightDecay: schedule });
      optimizer.step();
      return optimizer;
    };
    const step = (victim: Optimizer) => {
      bad = { value };
      try {
        victim.step();
      } finally {
        bad = undefined;
      }
    };
    await new Twins(make).refuses(step, error, String(value));
  }
});

it("can be assigned between steps, and added with a group", () => {
  const optimizer = AdamW.createSync(params());
  optimizer.paramGroups[0]!.weightDecay = waning;
  optimizer.addParamGroup({ params: { d: dyadic(2, 1) }, weightDecay: (step) => step });
  optimizer.step();
  optimizer.step();
  expect(decays(optimizer)).toEqual([waning(2), 2]);
});

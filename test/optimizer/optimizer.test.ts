/** What the optimizers do, against the float32 reference bit for bit. Step options have a file of their own. */
import { runInNewContext } from "node:vm";
import { Adam, type AdamOptions, AdamW, type ParamSet, type RuntimeOptions } from "fused-adam";
import { describe, expect, it } from "vitest";
import { FLUSH_EVERY } from "../reference.js";
import { expectSameBits } from "../support/bits.js";
import { dyadic, hyperOf, type Mode, Model, type Optimizer } from "../support/model.js";

const KERNELS = ["simd", "scalar"] as const;
/** Past a flush of subnormal moments. */
const MANY = FLUSH_EVERY + 8;
const MODES = ["adam", "adamw"] as const;

function create(
  mode: Mode,
  params: Parameters<typeof AdamW.createSync>[0],
  options: AdamOptions & RuntimeOptions = {},
) {
  return (mode === "adam" ? Adam : AdamW).createSync(params, options);
}

function run(optimizer: Optimizer, model: Model, steps: number, seed = 1): void {
  for (let step = 0; step < steps; step++) {
    model.fillGrads(optimizer, seed + 100 * step);
    expect(optimizer.step()).toStrictEqual(model.step());
  }
  model.expectSame(optimizer, `after ${steps} steps:`);
}

describe.each(KERNELS)("%s", (kernel) => {
  describe.each(MODES)("%s", (mode) => {
    const decays = [0, 0.1];
    const CASES = decays.flatMap((weightDecay): AdamOptions[] => [
      { weightDecay },
      { weightDecay, amsgrad: true },
      { weightDecay, maximize: true },
      { weightDecay, biasCorrection: false },
      { weightDecay, amsgrad: true, maximize: true, biasCorrection: false },
      { weightDecay, betas: [0, 0.999] },
      { weightDecay, betas: [0.9, 0] },
      { weightDecay, betas: [0, 0], amsgrad: true },
      { weightDecay, betas: [0.99999, 0.9999999], lr: 0.3 },
      { weightDecay, eps: 0 },
      { weightDecay, eps: 10, lr: 1 },
      { weightDecay, lr: 0 },
      { weightDecay, lr: 1e300 },
      { weightDecay, eps: 1e300 },
      { weightDecay: weightDecay * 1e300, lr: 1e-8 },
    ]);
    it.each(CASES)("%j", (options) => {
      const params = { w: dyadic(21, 1), b: dyadic(3, 2), s: dyadic(1, 3), x: dyadic(32, 4) };
      run(create(mode, params, { ...options, kernel }), new Model(mode, params, options), MANY);
    });

    it("groups with hyper-parameters of their own", () => {
      const options = { lr: 0.25, betas: [0.5, 0.75], weightDecay: 0.5 } as const;
      const groups = [
        { params: { a: dyadic(5, 1), b: dyadic(18, 2) } },
        { params: { c: dyadic(4, 3) }, lr: 0.01, betas: [0.1, 0.2] as const, eps: 1e-3, weightDecay: 0, amsgrad: true },
        { params: { d: dyadic(17, 4) }, maximize: true, biasCorrection: false },
      ];
      const model = new Model(mode, groups[0]!.params as Record<string, Float32Array>, options);
      for (const { params, ...hyper } of groups.slice(1)) model.add(params as Record<string, Float32Array>, hyper);
      const optimizer = create(mode, groups, { ...options, kernel });
      expect(optimizer.paramGroups.map(({ lr }) => lr)).toEqual([0.25, 0.01, 0.25]);
      run(optimizer, model, MANY);
    });

    it("gradients as wide as float32 goes, zeros of both signs, subnormals", () => {
      const values = [0, -0, 1, -1, 1e-45, -1e-40, 1e-38, 1e-20, -1e19, 3e38, -3e38, 1e-30, 1e10];
      const params = { w: Float32Array.from(values.toReversed()), v: Float32Array.from(values) };
      const model = new Model(mode, params, { amsgrad: true, weightDecay: 0.1 });
      const optimizer = create(mode, params, { amsgrad: true, weightDecay: 0.1, kernel });
      for (let step = 0; step < MANY; step++) {
        for (const name of ["w", "v"])
          model.setGrad(
            optimizer,
            name,
            Float32Array.from(values, (x) => x * (step % 3)),
          );
        optimizer.step();
        model.step();
      }
      model.expectSame(optimizer);
    });

    it("empty tensors and scalars, between others and alone", () => {
      const params = { none: [0], scalar: [], vector: [3], nothing: [2, 0, 3], last: [1, 1] };
      const shapes = Object.fromEntries(Object.entries(params).map(([name, shape]) => [name, { shape }]));
      const zeros = { none: 0, scalar: 1, vector: 3, nothing: 0, last: 1 };
      const model = new Model(
        mode,
        Object.fromEntries(Object.entries(zeros).map(([name, length]) => [name, new Float32Array(length)])),
      );
      const optimizer = create(mode, shapes, { kernel });
      expect(optimizer.names.map((name) => optimizer.grad(name).length)).toEqual([0, 1, 3, 0, 1]);
      run(optimizer, model, 3);
      const empty = create(mode, { none: { shape: [0] } }, { kernel });
      expect(empty.step({ clipNorm: 1 })).toStrictEqual({ step: 1, skipped: false, gradNorm: 0 });
    });
  });

  it("1,000 tensors are as one", () => {
    const [count, each] = [1000, 16];
    const values = dyadic(count * each, 5);
    const many = AdamW.createSync(
      Array.from({ length: count }, (_, i) => values.subarray(i * each, (i + 1) * each)),
      { kernel },
    );
    const one = AdamW.createSync({ all: values }, { kernel });
    for (let step = 0; step < 5; step++) {
      one.grad("all").set(dyadic(count * each, step));
      for (let i = 0; i < count; i++) many.grad(String(i)).set(one.grad("all").subarray(i * each, (i + 1) * each));
      expect(many.step({ clipNorm: 9 })).toStrictEqual(one.step({ clipNorm: 9 }));
    }
    const joined = new Float32Array(count * each);
    for (let i = 0; i < count; i++) joined.set(many.param(String(i)), i * each);
    expectSameBits("params", joined, one.param("all"));
  });

  it("1,000 tensors of odd lengths, some of them skipped, against the reference", () => {
    const params = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`t${i}`, dyadic(i % 7, i)]));
    const optimizer = AdamW.createSync(params, { kernel });
    const model = new Model("adamw", params);
    for (let step = 0; step < 4; step++) {
      model.fillGrads(optimizer, step);
      const skip = optimizer.names.filter((_, i) => step > 0 && i % (step + 3) === 0);
      expect(optimizer.step({ skip, zeroGrad: step === 2 })).toStrictEqual(model.step({ skip, zeroGrad: step === 2 }));
    }
    model.expectSame(optimizer);
  });
});

describe("names", () => {
  const namesOf = (params: ParamSet) => AdamW.createSync(params).names;
  const value = () => dyadic(2, 1);

  it("of a record: in JavaScript's own order; whole numbers come first", () => {
    expect(namesOf({ w: value(), b: value() })).toEqual(["w", "b"]);
    expect(namesOf({ b: value(), "10": value(), "2": value(), "-1": value() })).toEqual(["2", "10", "b", "-1"]);
  });

  it("of arrays: 0, 1, …, counting on over groups", () => {
    expect(namesOf([value(), { shape: [2] }])).toEqual(["0", "1"]);
    const groups = [{ params: [value(), value()] }, { params: { x: value() } }, { params: [value()] }];
    const optimizer = AdamW.createSync(groups);
    expect(optimizer.names).toEqual(["0", "1", "x", "3"]);
    optimizer.addParamGroup({ params: [value(), value()] });
    expect(optimizer.names).toEqual(["0", "1", "x", "3", "4", "5"]);
    expect(optimizer.paramGroups.map(({ params }) => params)).toEqual([["0", "1"], ["x"], ["3"], ["4", "5"]]);
  });

  it("that JavaScript's objects know already, and any others", () => {
    const names = [
      "__proto__",
      "constructor",
      "toString",
      "params",
      "param",
      "shape",
      " ",
      "a.b/c",
      '"',
      "\n",
      "ü",
      "\ud800",
    ];
    const params = Object.fromEntries(names.map((name, i) => [name, dyadic(i + 1, i)]));
    const optimizer = AdamW.createSync(params, { kernel: "scalar" });
    expect(optimizer.names).toEqual(names);
    run(optimizer, new Model("adamw", params), 3);
    const resumed = AdamW.createSync(params);
    resumed.loadStateDict(structuredClone(optimizer.stateDict()));
    for (const name of names) resumed.param(name).set(optimizer.param(name));
    for (const one of [optimizer, resumed]) for (const name of names) one.grad(name).fill(1);
    expect(optimizer.step()).toEqual(resumed.step());
    for (const name of names) expectSameBits(name, resumed.param(name), optimizer.param(name));
  });

  it("a lone parameter may be called params", () => {
    expect(namesOf({ params: value() })).toEqual(["params"]);
  });
});

describe("views", () => {
  it("are the same as long as memory does not grow, and what is written to them is what the next step sees", () => {
    const params = { a: dyadic(5, 1), b: dyadic(7, 2) };
    const optimizer = AdamW.createSync(params);
    const model = new Model("adamw", params);
    const [param, grad] = [optimizer.param("a"), optimizer.grad("a")];
    run(optimizer, model, 2);
    param.fill(0.75);
    grad.fill(-0.5);
    model.at("a").param.fill(0.75);
    model.at("a").grad.fill(-0.5);
    expect(optimizer.step()).toEqual(model.step());
    model.expectSame(optimizer);
    expect(optimizer.param("a")).toBe(param);
    expect(optimizer.grad("a")).toBe(grad);
  });

  it("the values given are copied: the caller's array is the caller's", () => {
    const values = dyadic(5, 1);
    const optimizer = AdamW.createSync({ w: values });
    values.fill(9);
    expectSameBits("w", optimizer.param("w"), dyadic(5, 1));
    run(optimizer, new Model("adamw", { w: dyadic(5, 1) }), 1);
    expect(values).toEqual(new Float32Array(5).fill(9));
  });

  it("create copies what it is given before it first waits", async () => {
    const values = dyadic(5, 1);
    const betas: [number, number] = [0.5, 0.25];
    const promise = AdamW.create({ w: values }, { betas });
    values.fill(9);
    betas[0] = 0.75;
    const optimizer = await promise;
    expectSameBits("w", optimizer.param("w"), dyadic(5, 1));
    expect(optimizer.paramGroups[0]!.betas).toEqual([0.5, 0.25]);
  });

  it("are detached when addParamGroup grows memory; fresh ones have the old values, and training goes on", () => {
    const params = { a: dyadic(5, 1), b: dyadic(20, 2) };
    const optimizer = AdamW.createSync(params);
    const model = new Model("adamw", params);
    run(optimizer, model, 3);
    const stale = [optimizer.param("a"), optimizer.grad("a"), optimizer.param("b")];
    const big = { c: dyadic(20000, 3) };
    optimizer.addParamGroup({ params: big, lr: 0.5 });
    model.add(big, { lr: 0.5 });
    expect(stale.map(({ length }) => length)).toEqual([0, 0, 0]);
    model.expectSame(optimizer, "right after:");
    run(optimizer, model, 3);
  });

  it("stay when there is room", () => {
    const optimizer = AdamW.createSync({ a: dyadic(5, 1) });
    const view = optimizer.param("a");
    const bytes = optimizer.memory.buffer.byteLength;
    optimizer.addParamGroup({ params: { b: dyadic(5, 1) } });
    expect(optimizer.memory.buffer.byteLength).toBe(bytes);
    expect(optimizer.param("a")).toBe(view);
  });

  it("are live again when somebody else grows the memory", () => {
    for (const kernel of KERNELS) {
      const params = { a: dyadic(5, 1) };
      const optimizer = AdamW.createSync(params, { kernel });
      const model = new Model("adamw", params);
      run(optimizer, model, 2);
      const stale = optimizer.param("a");
      optimizer.memory.grow(0);
      expect(stale.length).toBe(0);
      run(optimizer, model, 2);
    }
  });
});

describe("steps and setGrad", () => {
  it("steps is the largest step count of any parameter: as step returns it, and as a state says", async () => {
    const optimizer = AdamW.createSync([
      { params: { a: dyadic(3, 1), b: dyadic(2, 2) } },
      { params: { c: dyadic(1, 3) } },
    ]);
    expect(optimizer.steps).toBe(0);
    for (const skip of [["a"], ["a", "b"], [], ["c"], ["a", "b", "c"]]) {
      const { step } = await optimizer.stepAsync({ skip });
      expect(optimizer.steps).toBe(step);
      expect(optimizer.steps).toBe(Math.max(...Object.values(optimizer.stateDict().state).map((entry) => entry.step)));
    }
    expect(optimizer.steps).toBe(3);
    optimizer.grad("a")[0] = NaN;
    expect(optimizer.step({ skipNonFinite: true }).skipped).toBe(true);
    expect(optimizer.steps).toBe(3);
    const state = optimizer.stateDict();
    state.state.b!.step = Number.MAX_SAFE_INTEGER;
    optimizer.loadStateDict(state);
    expect(optimizer.steps).toBe(Number.MAX_SAFE_INTEGER);
  });

  it("setGrad copies its values in, of a window of a buffer, of another realm, of its own memory, of shared memory", () => {
    const optimizer = AdamW.createSync({ w: { shape: [2, 2] }, v: { shape: [4] }, none: { shape: [0] } });
    const values = new Float32Array([9, 1, -0, NaN, 4, 9]);
    const foreign = runInNewContext("new Float32Array([5, 6, 7, 8])") as Float32Array;
    const shared = new Float32Array(new SharedArrayBuffer(16));
    shared.set([1, 2, 3, 4]);
    optimizer.setGrad("w", values.subarray(1, 5));
    expect([...optimizer.grad("w")]).toEqual([1, -0, NaN, 4]);
    values.fill(0);
    expect([...optimizer.grad("w")]).toEqual([1, -0, NaN, 4]);
    optimizer.setGrad("v", optimizer.grad("w"));
    expect([...optimizer.grad("v")]).toEqual([1, -0, NaN, 4]);
    optimizer.setGrad("w", foreign);
    expect([...optimizer.grad("w")]).toEqual([5, 6, 7, 8]);
    optimizer.setGrad("w", shared);
    expect([...optimizer.grad("w")]).toEqual([1, 2, 3, 4]);
    optimizer.setGrad("none", new Float32Array(0));
    expect(optimizer.param("w")).toEqual(new Float32Array(4));
  });
});

describe("paramGroups", () => {
  const params = () => ({ a: dyadic(9, 1), b: dyadic(2, 2) });
  it.each([
    { lr: 0.5 },
    { betas: [0.25, 0.5] },
    { eps: 0.1 },
    { weightDecay: 0.75 },
    { maximize: true },
    { biasCorrection: false },
  ] as AdamOptions[])("assigning %j counts from the next step on, in that group only", (change) => {
    for (const mode of MODES) {
      const optimizer = create(mode, [{ params: params() }, { params: { c: dyadic(3, 3) } }]);
      const model = new Model(mode, params()).add({ c: dyadic(3, 3) });
      run(optimizer, model, 3);
      Object.assign(optimizer.paramGroups[0]!, change);
      Object.assign(model.groups[0]!.hyper, change);
      model.expectSame(optimizer, "assigning alone:");
      expect(optimizer.paramGroups[0]).toMatchObject(change);
      expect(optimizer.paramGroups[1]).toMatchObject(hyperOf(mode));
      run(optimizer, model, 3);
      Object.assign(optimizer.paramGroups[0]!, hyperOf(mode), { amsgrad: false });
      Object.assign(model.groups[0]!.hyper, hyperOf(mode));
      run(optimizer, model, 3);
    }
  });

  it("a group added has the options of creation, not what another group was assigned since", () => {
    const optimizer = AdamW.createSync(params(), { lr: 0.5, betas: [0.5, 0.5] });
    Object.assign(optimizer.paramGroups[0]!, { lr: 0.25, betas: [0, 0], eps: 1, weightDecay: 3 });
    optimizer.addParamGroup({ params: { c: dyadic(3, 3) }, eps: 0.5 });
    expect(optimizer.paramGroups[1]).toMatchObject({ lr: 0.5, betas: [0.5, 0.5], eps: 0.5, weightDecay: 0.01 });
  });

  it("hold copies: an array of betas changed afterwards changes nothing", () => {
    const betas: [number, number] = [0.5, 0.75];
    const optimizer = AdamW.createSync(params(), { betas });
    betas[0] = 0;
    const again: [number, number] = [0.25, 0.5];
    expect(optimizer.paramGroups[0]!.betas).toEqual([0.5, 0.75]);
    optimizer.paramGroups[0]!.betas = again;
    again[1] = NaN;
    const model = new Model("adamw", params(), { betas: [0.25, 0.5] });
    expect(() => Object.assign(optimizer.paramGroups[0]!.betas, [0, 0])).toThrow(TypeError);
    run(optimizer, model, 3);
  });

  it("amsgrad may be assigned what it is, and nothing else", () => {
    const optimizer = AdamW.createSync(params(), { amsgrad: true });
    Object.assign(optimizer.paramGroups[0]!, { amsgrad: true });
    expect(() => Object.assign(optimizer.paramGroups[0]!, { amsgrad: false })).toThrow(/"amsgrad": expected true/);
    run(optimizer, new Model("adamw", params(), { amsgrad: true }), 3);
  });
});

describe("schedules", () => {
  const params = () => ({ a: dyadic(9, 1), b: dyadic(2, 2) });
  it("are asked once per step and group, for t = 1, 2, …", () => {
    const calls: string[] = [];
    const schedule = (name: string) => (step: number) => {
      calls.push(`${name}${step}`);
      return 1 / step;
    };
    const groups = [
      { params: { a: dyadic(9, 1), b: dyadic(2, 2) }, lr: schedule("x") },
      { params: { c: dyadic(3, 3) }, lr: 0.5 },
      { params: { d: dyadic(3, 4) }, lr: schedule("y") },
    ];
    const optimizer = AdamW.createSync(groups);
    expect(calls).toEqual([]);
    for (let step = 0; step < 3; step++) optimizer.step();
    expect(calls).toEqual(["x1", "y1", "x2", "y2", "x3", "y3"]);
    calls.length = 0;
    // A parameter that is skipped does not hold its group back; a group that is skipped as a whole stays where it is.
    optimizer.step({ skip: ["a", "d"] });
    optimizer.step({ skip: ["b", "d"] });
    optimizer.step({ skip: ["b"] });
    expect(calls).toEqual(["x4", "x4", "x5", "y4"]);
  });

  it("do not move on when a step is skipped", () => {
    const seen: number[] = [];
    const optimizer = AdamW.createSync(params(), { lr: (step) => seen.push(step) / 100 });
    optimizer.step();
    optimizer.grad("a")[3] = NaN;
    expect(optimizer.step({ skipNonFinite: true })).toMatchObject({ step: 1, skipped: true });
    optimizer.zeroGrad();
    optimizer.step();
    expect([...new Set(seen)]).toEqual([1, 2]);
    expect(seen.at(-1)).toBe(2);
  });

  it("decide the step's rate, whether given at creation, to a group, or assigned", () => {
    const lr = (step: number) => 0.5 / (step * step);
    const optimizer = AdamW.createSync(params(), { lr });
    const model = new Model("adamw", params(), { lr });
    run(optimizer, model, 5);
    for (const rate of [0.125, (step: number) => 0.001 * step, 0.25]) {
      optimizer.paramGroups[0]!.lr = rate;
      model.groups[0]!.hyper.lr = rate;
      expect(optimizer.paramGroups[0]!.lr).toBe(rate);
      run(optimizer, model, 3);
    }
    optimizer.addParamGroup({ params: { c: dyadic(3, 3) } });
    model.add({ c: dyadic(3, 3) });
    expect(optimizer.paramGroups[1]!.lr).toBe(lr);
    run(optimizer, model, 3);
  });
});

it("kernel: what was asked for, and SIMD where nothing was", async () => {
  expect(AdamW.createSync([dyadic(1, 1)]).kernel).toBe("simd");
  expect((await Adam.create([dyadic(1, 1)], { kernel: "auto" })).kernel).toBe("simd");
  for (const kernel of KERNELS) expect((await AdamW.create([dyadic(1, 1)], { kernel })).kernel).toBe(kernel);
});

/** What is refused, with which error, and that it is a tf.Optimizer in every respect. */
import { inspect } from "node:util";
import { adam, adamw, type FusedOptimizer, type TfjsOptions } from "fused-adam/tfjs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { caught, type Expected, expectError, rangeError, stateError, typeError } from "../../support/api.js";
import { BACKENDS, type Tensor, tf, use, useBlind, useUnreadable } from "../../support/tfjs.js";

afterEach(() => tf.disposeVariables());

describe.each([
  ["adam", adam, 0, "FusedAdam"],
  ["adamw", adamw, 0.01, "FusedAdamW"],
] as const)("%s", (_, make, weightDecay, className) => {
  it("is a tf.Optimizer", () => {
    const optimizer = make(tf);
    expect(Object.getPrototypeOf(Object.getPrototypeOf(Object.getPrototypeOf(optimizer)))).toBe(tf.Optimizer.prototype);
    expect(optimizer).toBeInstanceOf(tf.Optimizer);
    expect(optimizer.getClassName()).toBe(className);
    expect(optimizer.iterations).toBe(0);
    expect(optimizer.lastStep).toBeUndefined();
    expect(make(tf).constructor).toBe(optimizer.constructor);
  });

  it("has PyTorch's defaults, under the names that tfjs's Adam has for them", () => {
    expect(make(tf).getConfig()).toEqual({
      learningRate: 0.001,
      beta1: 0.9,
      beta2: 0.999,
      epsilon: 1e-8,
      weightDecay,
      amsgrad: false,
      maximize: false,
      biasCorrection: true,
      gradScale: 1,
      skipNonFinite: false,
    });
  });

  it("options that are assigned to it, and its text as JSON: refused; it is shown with its configuration", async () => {
    const optimizer = make(tf);
    for (const [key, hint] of [
      ["lr", "learningRate"],
      ["betas", "option"],
      ["weightDecay", "option"],
    ] as const) {
      const error = await caught(() => Object.assign(optimizer, { [key]: 1 }));
      expectError(error, stateError(key, "ERR_FIXED_OPTION"));
      expect(String(error)).toContain(hint);
    }
    const error = await caught(() => JSON.stringify({ optimizer }));
    expectError(error, typeError("JSON.stringify"));
    expect(String(error)).toContain("getWeights()");
    expect(await caught(() => structuredClone(optimizer))).toMatchObject({ name: "DataCloneError" });
    const shown = inspect({ a: { b: { optimizer } } });
    expect(shown).toMatch(new RegExp(`optimizer: ${className} \\{\\s+learningRate: 0.001,[^]*iterations: 0`));
  });

  const wrong: Record<string, [unknown, Expected]> = {
    "no object": [3, typeError("options")],
    "an unknown option": [{ learningRate: 1 }, typeError("options", "ERR_UNKNOWN_OPTION")],
    "an option of the core alone": [{ memory: undefined, zeroGrad: true }, typeError("options", "ERR_UNKNOWN_OPTION")],
    "a rate below zero": [{ lr: -1 }, rangeError("lr")],
    "a rate as text": [{ lr: "0.1" }, typeError("lr")],
    "a beta of 1": [{ betas: [0.9, 1] }, rangeError("betas[1]")],
    "a clipNorm below zero": [{ clipNorm: -1 }, rangeError("clipNorm")],
    "a gradScale of zero": [{ gradScale: 0 }, rangeError("gradScale")],
    "skipNonFinite as a number": [{ skipNonFinite: 1 }, typeError("skipNonFinite")],
    "decay as a list": [{ decay: ["kernel"] }, typeError("decay")],
    "lrFactor as a number": [{ lrFactor: 2 }, typeError("lrFactor")],
    "a kernel that is none": [{ kernel: "fast" }, rangeError("kernel")],
  };
  it.each([undefined, {}, { layers: {} }])("%j instead of TensorFlow.js: refused", async (value) => {
    expectError(await caught(() => make(value as never)), typeError("tf"));
  });

  it.each(Object.entries(wrong))("%s: refused", async (_, [options, expected]) => {
    expectError(await caught(() => make(tf, options as TfjsOptions)), expected);
  });
});

describe.each(BACKENDS)("%s", (backend) => {
  beforeEach(() => use(backend));

  it("an empty step counts, as with tf.train.adam", () => {
    const optimizer = adamw(tf);
    optimizer.applyGradients({});
    optimizer.applyGradients([]);
    expect([optimizer.iterations, optimizer.lastStep]).toEqual([2, { step: 0, skipped: false }]);
  });

  it("variables that are not trainable stay as they are", () => {
    const [fixed, free] = [tf.variable(tf.ones([2]), false), tf.variable(tf.ones([2]))];
    const optimizer = adamw(tf, { weightDecay: 0.5 });
    const loss = () => tf.sum(tf.mul(fixed, free)) as never;
    optimizer.minimize(loss, false, [fixed, free]);
    optimizer.minimize(loss);
    expect([...fixed.dataSync()]).toEqual([1, 1]);
    expect(free.dataSync()[0]).toBeLessThan(1);
  });

  it("variables of other types without a gradient are left alone", () => {
    const count = tf.variable(tf.scalar(3, "int32"), false);
    const free = tf.variable(tf.ones([2]));
    adamw(tf).minimize(() => tf.sum(free) as never, false, [count, free]);
    expect([...count.dataSync()]).toEqual([3]);
  });

  const gradients: Record<string, [() => unknown, Expected]> = {
    nothing: [() => undefined, typeError("gradients")],
    "a tensor": [() => [tf.ones([2])], typeError("gradients[0]")],
    "an entry without a name": [() => [{ tensor: tf.ones([2]) }], typeError("gradients[0]")],
    "a gradient that is no tensor": [() => ({ a: [1, 2] }), typeError("gradients.a")],
    "another shape": [() => ({ a: tf.ones([3]) }), rangeError("gradients.a", "ERR_SHAPE_MISMATCH")],
    "another rank": [() => ({ a: tf.ones([1, 2]) }), rangeError("gradients.a", "ERR_SHAPE_MISMATCH")],
    "another type": [() => ({ a: tf.ones([2], "int32") }), typeError("gradients.a")],
    "a variable of another type": [() => ({ n: tf.ones([2]) }), typeError("gradients.n")],
    "a name twice": [
      () => [
        { name: "a", tensor: tf.ones([2]) },
        { name: "a", tensor: tf.ones([2]) },
      ],
      rangeError("gradients", "ERR_DUPLICATE_NAME"),
    ],
    "an unknown name": [() => ({ nobody: tf.ones([2]) }), stateError("gradients", "ERR_UNKNOWN_NAME")],
    "a name of Object's": [() => ({ toString: tf.ones([2]) }), stateError("gradients", "ERR_UNKNOWN_NAME")],
    "the name of a disposed variable": [
      () => {
        tf.engine().registeredVariables.b!.dispose();
        return { b: tf.ones([2]) };
      },
      stateError("gradients", "ERR_UNKNOWN_NAME"),
    ],
    "a disposed gradient": [
      () => {
        const tensor = tf.ones([2]);
        tensor.dispose();
        return { a: tensor };
      },
      stateError("gradients.a", "ERR_DISPOSED"),
    ],
  };
  it.each(Object.entries(gradients))("gradients: %s: refused, and nothing has changed", async (_, [make, expected]) => {
    const a = tf.variable(tf.ones([2]), true, "a");
    tf.variable(tf.ones([2]), true, "b");
    tf.variable(tf.ones([2], "int32"), true, "n");
    const optimizer = adamw(tf);
    optimizer.applyGradients({ a: tf.ones([2]) });
    const values = [...a.dataSync()];
    expectError(await caught(() => optimizer.applyGradients(make() as never)), expected);
    expect([...a.dataSync()]).toEqual(values);
    expect(optimizer.iterations).toBe(1);
    optimizer.applyGradients({ a: tf.ones([2]) });
    expect(optimizer.iterations).toBe(2);
  });

  const rules: Record<string, [TfjsOptions, Expected]> = {
    "a decay that is no boolean": [{ decay: () => 1 as never }, typeError(/^decay\(/)],
    "a factor below zero": [{ lrFactor: () => -1 }, rangeError(/^lrFactor\(/)],
    "a factor that is none": [{ lrFactor: () => Number.NaN }, rangeError(/^lrFactor\(/)],
  };
  it.each(Object.entries(rules))("rules: %s: refused, and nothing has changed", async (_, [options, expected]) => {
    const a = tf.variable(tf.ones([2]), true, "a");
    const optimizer = adamw(tf, options);
    const tensor = tf.ones([2]);
    const { numTensors } = tf.memory();
    expectError(await caught(() => optimizer.applyGradients({ a: tensor })), expected);
    expect([...a.dataSync()]).toEqual([1, 1]);
    expect([optimizer.iterations, tf.memory().numTensors]).toEqual([0, numTensors]);
  });

  it("a call from a rule or a schedule: refused", async () => {
    tf.variable(tf.ones([2]), true, "a");
    const tensor = tf.ones([2]);
    const nested = (): never => optimizer.applyGradients({ a: tensor }) as never;
    let optimizer: FusedOptimizer = adamw(tf, { decay: nested });
    expectError(await caught(() => optimizer.applyGradients({ a: tensor })), stateError("optimizer", "ERR_BUSY"));
    optimizer = adamw(tf, { lr: nested });
    expectError(await caught(() => optimizer.applyGradients({ a: tensor })), stateError("optimizer", "ERR_BUSY"));
  });

  it.each([Number.NaN, -1, Infinity])("learningRate %d: refused", async (value) => {
    const optimizer = adamw(tf);
    const error = await caught(() => {
      optimizer.learningRate = value;
    });
    expectError(error, rangeError("learningRate"));
    expect(optimizer.learningRate).toBe(0.001);
  });
});

it("a backend that reads zeros: refused before anything is written", async () => {
  await use("cpu");
  const variable = tf.tidy(() => tf.variable(tf.ones([2])));
  const optimizer = adamw(tf);
  const gradients = { [variable.name]: tf.ones([2]) };
  optimizer.applyGradients(gradients);
  const before = [...variable.dataSync()];
  await useBlind();
  expectError(await caught(() => optimizer.applyGradients(gradients)), stateError("blind", "ERR_BACKEND"));
  await use("cpu");
  expect([...variable.dataSync()]).toEqual(before);
  optimizer.applyGradients(gradients);
  expect(optimizer.iterations).toBe(2);
});

describe("a backend named webgpu, which is never read synchronously", () => {
  it("copying there: refused without a read", async () => {
    const there = await useUnreadable();
    const variable = tf.tidy(() => tf.variable(tf.ones([2])));
    const gradients = { [variable.name]: tf.ones([2]) };
    expectError(await caught(() => adamw(tf).applyGradients(gradients)), stateError("webgpu", "ERR_BACKEND"));
    expect(there.reads).toBe(0);
  });

  it.each(["cpu", "wasm", "opaque"] as const)("leaving it for %s: only with values that were read", async (backend) => {
    const there = await useUnreadable();
    const variable = tf.tidy(() => tf.variable(tf.ones([2]), true, "there"));
    const late = tf.ones([2]);
    await use(backend);
    const optimizer = adamw(tf);
    const step = (tensor: Tensor) => caught(() => optimizer.applyGradients({ there: tensor }));
    expectError(await step(late), stateError("gradients.there", "ERR_BACKEND"));
    expectError(await step(tf.ones([2])), stateError("there", "ERR_BACKEND"));
    expect([there.reads, optimizer.iterations]).toEqual([0, 0]);
    there.fetched.add(variable.dataId);
    optimizer.applyGradients({ there: tf.ones([2]) });
    expect(optimizer.iterations).toBe(1);
  });
});

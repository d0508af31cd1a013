/** Nothing is left behind: tensors, bytes of tfjs, its heap. And what is left after dispose() works. */
import { adam, adamw, type FusedOptimizer } from "fused-adam/tfjs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { caught, expectError, stateError } from "../../support/api.js";
import { BACKENDS, storage, tf, use, type Variable } from "../../support/tfjs.js";

const counts = () => {
  const { numTensors, numBytes, numDataBuffers } = tf.memory();
  return { numTensors, numBytes, numDataBuffers };
};
const loss = (variables: Variable[]) => () =>
  tf.addN(variables.map((variable) => tf.sum(tf.square(variable)))) as never;
const made = () => [tf.variable(tf.ones([3, 4])), tf.variable(tf.ones([5])), tf.variable(tf.scalar(2))];

describe.each(BACKENDS)("%s", (backend) => {
  beforeEach(() => use(backend));
  afterEach(() => tf.disposeVariables());

  it("tensors and bytes stay the same over 1,000 steps of every kind, and return to the start after dispose()", async () => {
    const variables = tf.tidy(made);
    const start = counts();
    const optimizer = adamw(tf, { clipNorm: 1, skipNonFinite: true });
    const bad = tf.fill([5], NaN);
    const steps: (() => void)[] = [
      () => optimizer.minimize(loss(variables)),
      () => optimizer.minimize(loss(variables), false, variables),
      () => optimizer.minimize(loss(variables), true)!.dispose(),
      () =>
        tf.tidy(() => {
          optimizer.minimize(loss(variables), true);
        }),
      () => optimizer.minimize(loss(variables.slice(0, 1)), false, variables),
      // A sharer that comes and goes, a value from elsewhere, a gradient that is a variable.
      () => {
        const clone = variables[0]!.clone();
        optimizer.minimize(loss(variables));
        clone.dispose();
      },
      () => tf.tidy(() => variables[1]!.assign(tf.ones([5]) as never)),
      () => optimizer.applyGradients([{ name: variables[1]!.name, tensor: variables[1]! }]),
      () => optimizer.applyGradients([{ name: variables[1]!.name, tensor: bad }]),
      () => tf.dispose(optimizer.computeGradients(loss(variables)) as never),
    ];
    for (const step of steps) step();
    await optimizer.getWeights();
    const [before, place] = [counts(), storage(variables[0]!).buffer.byteLength];
    for (let i = 0; i < 1000; i++) steps[i % steps.length]!();
    expect(counts()).toEqual(before);
    expect(storage(variables[0]!).buffer.byteLength).toBe(place);
    bad.dispose();
    optimizer.dispose();
    expect(counts()).toEqual(start);
  });

  it("an error on the way leaves nothing behind either", async () => {
    const variables = tf.tidy(made);
    const lr = () => (optimizer.iterations < 2 ? 0.1 : Number.NaN);
    const optimizer: FusedOptimizer = adam(tf, { lr });
    for (let i = 0; i < 2; i++) optimizer.minimize(loss(variables));
    const [before, values] = [counts(), variables.map((variable) => [...variable.dataSync()])];
    for (let i = 0; i < 3; i++) {
      expect(() => optimizer.minimize(loss(variables))).toThrow(/"lr\(3\)": expected a finite number >= 0, got NaN/);
      expect(() => optimizer.applyGradients([{ name: variables[1]!.name, tensor: variables[1]! }])).toThrow(RangeError);
    }
    expect(counts()).toEqual(before);
    expect(variables.map((variable) => [...variable.dataSync()])).toEqual(values);
    expect(optimizer.iterations).toBe(2);
    optimizer.learningRate = 0.1;
    optimizer.minimize(loss(variables));
    expect(optimizer.iterations).toBe(3);
  });

  it("inside tidy: state made there outlives it", () => {
    const variables = tf.tidy(made);
    const optimizer = adamw(tf, { lr: 0.125, weightDecay: 0 });
    for (let i = 0; i < 3; i++) {
      tf.tidy(() => {
        optimizer.minimize(loss(variables));
      });
    }
    expect(variables[2]!.dataSync()[0]).toBeCloseTo(1.63, 2);
  });

  it("after dispose() variables have their values, can be used and trained by another", () => {
    const variables = tf.tidy(made);
    const optimizer = adamw(tf, { lr: 0.125, weightDecay: 0 });
    optimizer.minimize(loss(variables));
    const clone = variables[0]!.clone();
    optimizer.dispose();
    optimizer.dispose();
    for (const tensor of [variables[0]!, clone]) {
      expect([...tensor.dataSync()]).toEqual(Array.from({ length: 12 }, () => 0.875));
    }
    if (backend === "cpu") expect(storage(variables[0]!).buffer.byteLength).toBe(48);
    expect(tf.sum(variables[0]!).dataSync()[0]).toBe(10.5);
    const next = adam(tf, { lr: 0.125 });
    next.minimize(loss(variables));
    expect(variables[0]!.dataSync()[11]).toBe(0.75);
  });

  it("any call after dispose() but another is an error", async () => {
    const variables = tf.tidy(made);
    const optimizer = adamw(tf);
    optimizer.minimize(loss(variables));
    const weights = await optimizer.getWeights();
    optimizer.dispose();
    const gradients = { [variables[0]!.name]: tf.ones([3, 4]) };
    const calls = [
      () => optimizer.applyGradients(gradients),
      () => optimizer.minimize(loss(variables)),
      () => optimizer.getWeights(),
      () => optimizer.setWeights([{ name: "iter", tensor: tf.scalar(1, "int32") }]),
      () => {
        optimizer.learningRate = 1;
      },
    ];
    for (const call of calls) expectError(await caught(call), stateError("optimizer", "ERR_DISPOSED"));
    expect(weights.every(({ tensor }) => tensor.isDisposed)).toBe(true);
  });

  it("moments that were lent and disposed of: an error that says so, and nothing is written", async () => {
    const variables = tf.tidy(made);
    const optimizer = adamw(tf);
    optimizer.minimize(loss(variables));
    tf.dispose((await optimizer.getWeights()).map(({ tensor }) => tensor));
    const values = [...variables[0]!.dataSync()];
    const error = await caught(() => optimizer.minimize(loss(variables)));
    expectError(error, stateError(variables[0]!.name, "ERR_DISPOSED"));
    expect([...variables[0]!.dataSync()]).toEqual(values);
  });

  it("loading weights again and again leaves nothing", async () => {
    const variables = tf.tidy(made);
    const optimizer = adamw(tf);
    optimizer.minimize(loss(variables));
    const weights = (await optimizer.getWeights()).map(({ name, tensor }) => ({ name, tensor: tensor.clone() }));
    const before = counts();
    for (let i = 0; i < 5; i++) {
      await optimizer.setWeights(weights);
      optimizer.minimize(loss(variables));
    }
    expect(counts()).toMatchObject({ numTensors: before.numTensors, numBytes: before.numBytes });
    expect(optimizer.iterations).toBe(2);
    tf.dispose(weights.map(({ tensor }) => tensor));
    optimizer.dispose();
  });

  it("tf.disposeVariables() takes the moments along, and the optimizer begins anew with what comes", async () => {
    const optimizer = adamw(tf, { lr: 0.125, weightDecay: 0 });
    optimizer.minimize(loss(tf.tidy(made)));
    const clones = (await optimizer.getWeights()).map(({ tensor }) => tensor.clone());
    const values = clones.map((clone) => [...clone.dataSync()]);
    tf.disposeVariables();
    const variables = tf.tidy(made);
    const { numTensors } = counts();
    optimizer.minimize(loss(variables));
    expect(variables[0]!.dataSync()[0]).toBe(0.875);
    expect(counts().numTensors).toBe(numTensors + 6);
    await optimizer.getWeights();
    optimizer.dispose();
    expect(counts().numTensors).toBe(numTensors);
    expect(clones.map((clone) => [...clone.dataSync()])).toEqual(values);
    tf.dispose(clones);
  });

  it("models that come and go leave nothing with an optimizer that stays", () => {
    const optimizer = adamw(tf);
    const after: number[] = [];
    for (let i = 0; i < 5; i++) {
      const variables = tf.tidy(made);
      optimizer.minimize(loss(variables), false, variables);
      tf.dispose(variables);
      after.push(counts().numTensors);
    }
    // The last model's state is there until the next step.
    expect(after).toEqual(after.map(() => after[0]));
    optimizer.dispose();
  });
});

it("wasm: variables, gradients and moments above 2 GiB of tfjs's heap", async () => {
  await use("wasm");
  // Not touched, so it takes addresses and no memory; what comes later lies behind it.
  const { wasm } = tf.backend() as unknown as { wasm: { _malloc(bytes: number): number; _free(at: number): void } };
  const below = wasm._malloc(2 ** 31);
  const variable = tf.tidy(() => tf.variable(tf.ones([1 << 19])));
  expect(storage(variable).byteOffset).toBeGreaterThan(2 ** 31);
  const optimizer = adamw(tf, { lr: 0.125, weightDecay: 0 });
  for (let i = 0; i < 3; i++) optimizer.minimize(() => tf.sum(variable) as never);
  const values = variable.dataSync();
  expect([values[0], values.at(-1)]).toEqual([0.625, 0.625]);
  const moments = (await optimizer.getWeights()).slice(1).map(({ tensor }) => storage(tensor).byteOffset);
  expect(Math.min(...moments)).toBeGreaterThan(2 ** 31);
  optimizer.dispose();
  variable.dispose();
  wasm._free(below);
});

/** getWeights and setWeights: to and from tf.train.adam, and between our own; and what is refused. */
import { Adam, type AdamOptions } from "fused-adam";
import { fromTfjs, type TfjsWeight, toTfjs } from "fused-adam/checkpoint";
import { adam, adamw, type FusedOptimizer, type TfjsOptions } from "fused-adam/tfjs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { caught, type Expected, expectError, rangeError, stateError, typeError } from "../../support/api.js";
import { dyadic } from "../../support/model.js";
import { BACKENDS, type Tensor, tf, use, type Variable } from "../../support/tfjs.js";

const SHAPES: Record<string, number[]> = { kernel: [3, 5], bias: [5], scale: [] };
const LR = 0.01;
type Weights = { name: string; tensor: Tensor }[];
type Trains = Pick<FusedOptimizer, "applyGradients" | "getWeights" | "setWeights" | "iterations">;

function variablesOf(shapes = SHAPES, suffix = ""): Variable[] {
  return Object.entries(shapes).map(([name, shape], i) =>
    tf.tidy(() =>
      tf.variable(tf.tensor(dyadic(tf.util.sizeFromShape(shape), i), shape, "float32"), true, name + suffix),
    ),
  );
}

/** Steps `from` to `to`, whose gradients depend on the step alone. */
function train(
  optimizer: Pick<Trains, "applyGradients">,
  variables: readonly Variable[],
  from: number,
  to: number,
): void {
  for (let step = from; step < to; step++) {
    const gradients = variables.map(({ name, shape }, i) => {
      return { name, tensor: tf.tensor(dyadic(tf.util.sizeFromShape(shape), 10 * step + i), shape, "float32") };
    });
    optimizer.applyGradients(gradients);
    tf.dispose(gradients.map(({ tensor }) => tensor));
  }
}

const values = (tensors: readonly Tensor[]) => tensors.map((tensor) => [...tensor.dataSync()]);
const read = (weights: Weights) =>
  weights.map(({ name, tensor }) => [name, tensor.dtype, tensor.shape, [...tensor.dataSync()]] as const);
/** As a file would bring them: tensors of their own, gone after loading. */
async function loadInto(optimizer: Pick<Trains, "setWeights">, saved: ReturnType<typeof read>): Promise<void> {
  const weights = saved.map(([name, dtype, shape, data]) => ({
    name,
    tensor: tf.tensor([...data], [...shape], dtype),
  }));
  try {
    await optimizer.setWeights(weights);
  } finally {
    tf.dispose(weights.map(({ tensor }) => tensor));
  }
}

function closeTo(actual: readonly number[][], expected: readonly number[][], bound: (value: number) => number): void {
  actual.forEach((array, i) => {
    expect(array.length).toBe(expected[i]!.length);
    array.forEach((value, j) => {
      expect(Math.abs(value - expected[i]![j]!)).toBeLessThanOrEqual(bound(expected[i]![j]!));
    });
  });
}

describe.each(BACKENDS)("%s", (backend) => {
  beforeEach(() => use(backend));
  afterEach(() => tf.disposeVariables());

  const make: Record<string, () => Trains> = {
    "tf.train.adam": () => tf.train.adam(LR, 0.9, 0.999, 1e-7),
    adam: () => adam(tf, { lr: LR, eps: 1e-7 }),
  };

  it("names, order, types and shapes are those of tf.train.adam; moments agree within 2e-6", async () => {
    const saved = [];
    for (const create of Object.values(make)) {
      const [optimizer, variables] = [create(), variablesOf()];
      train(optimizer, variables, 0, 10);
      saved.push(read(await optimizer.getWeights()));
      tf.disposeVariables();
    }
    const [theirs, ours] = saved as [ReturnType<typeof read>, ReturnType<typeof read>];
    expect(ours.map((weight) => weight.slice(0, 3))).toEqual(theirs.map((weight) => weight.slice(0, 3)));
    const data = (weights: typeof ours) => weights.map(([, , , data]) => [...data]);
    closeTo(data(ours), data(theirs), (value) => 2e-6 * Math.abs(value) + 1e-12);
  });

  // Both correct the bias by the number of iterations: a wrong count, off by one, would be 1e-3 off.
  it.each([
    ["tf.train.adam", "adam"],
    ["adam", "tf.train.adam"],
  ])("saved by %s, loaded by %s: 20 more steps agree within 2e-6 of (lr t + |p|)", async (from, to) => {
    const [first, variables] = [make[from]!(), variablesOf()];
    train(first, variables, 0, 7);
    const [saved, start] = [read(await first.getWeights()), values(variables)];
    train(first, variables, 7, 27);
    const expected = values(variables);
    tf.disposeVariables();

    const [second, others] = [make[to]!(), variablesOf()];
    others.forEach((variable, i) => {
      variable.assign(tf.tensor(start[i]!, variable.shape, "float32") as Variable);
    });
    await loadInto(second, saved);
    expect(read(await second.getWeights())).toEqual(saved);
    expect(second.iterations).toBe(7);
    train(second, others, 7, 27);
    closeTo(values(others), expected, (value) => 2e-6 * (27 * LR + Math.abs(value)));
    expect(second.iterations).toBe(27);
  });

  describe("between our own, bit for bit", () => {
    const options: TfjsOptions = { lr: LR, weightDecay: 0.25, clipNorm: 1 };

    /** Trains, saves after 7 steps and trains on; then the same from what was saved, in other circumstances. */
    async function resume(
      options: TfjsOptions,
      others: (variables: Variable[]) => Variable[],
      before: (optimizer: FusedOptimizer, variables: Variable[]) => void = () => {},
    ): Promise<void> {
      const [first, variables] = [adamw(tf, options), variablesOf()];
      train(first, variables, 0, 7);
      const [saved, start] = [read(await first.getWeights()), values(variables)];
      train(first, variables, 7, 40);
      const expected = [values(variables), read(await first.getWeights()).map(([, , , data]) => data)];

      const [second, loaded] = [adamw(tf, options), others(variables)];
      loaded.forEach((variable, i) => {
        variable.assign(tf.tensor(start[i]!, variable.shape, "float32") as Variable);
      });
      before(second, loaded);
      loaded.forEach((variable, i) => {
        variable.assign(tf.tensor(start[i]!, variable.shape, "float32") as Variable);
      });
      await loadInto(second, saved);
      train(second, loaded, 7, 40);
      expect([values(loaded), read(await second.getWeights()).map(([, , , data]) => data)]).toEqual(expected);
    }

    it("into the same variables", () => resume(options, (variables) => variables));
    it("into others of the same names", () =>
      resume(options, () => {
        tf.disposeVariables();
        return variablesOf();
      }));
    it("into others of other names, by position", () => resume(options, () => variablesOf(SHAPES, "_1")));
    it("by position, also where variables appear one after the other", async () => {
      const [first, variables] = [adamw(tf, options), variablesOf()];
      train(first, variables, 0, 7);
      const saved = read(await first.getWeights());
      const [second, others] = [adamw(tf, options), variablesOf(SHAPES, "_1")];
      await loadInto(second, saved);
      for (const [i, variable] of others.entries()) {
        second.applyGradients([{ name: variable.name, tensor: tf.zeros(variable.shape) }]);
        const moment = read(await second.getWeights())[1 + i]!;
        expect(moment[3]).toEqual(saved[1 + i]![3].map((value) => Math.fround(value * Math.fround(0.9))));
      }
    });
    it("with amsgrad", () => resume({ ...options, amsgrad: true }, () => variablesOf(SHAPES, "_1")));
    it("over a state that is there", () =>
      resume(
        options,
        () => variablesOf(SHAPES, "_1"),
        (optimizer, variables) => train(optimizer, variables, 3, 9),
      ));
  });

  it("what was loaded and not yet claimed is there to be saved again, and is claimed by name, in any order", async () => {
    const [first, variables] = [adam(tf), variablesOf()];
    train(first, variables, 0, 3);
    const saved = read(await first.getWeights());
    const second = adam(tf);
    await loadInto(second, saved);
    expect(read(await second.getWeights())).toEqual(saved);
    // Some of them, in another order; a new one later.
    train(second, [variables[2]!, variables[1]!], 3, 4);
    const head = tf.variable(tf.ones([2]), true, "head");
    train(second, [head], 4, 5);
    const after = Object.fromEntries(read(await second.getWeights()).map(([name, , , data]) => [name, data]));
    const names = ["m", "v"].flatMap((moment) =>
      ["kernel", "bias", "scale", "head"].map((name) => `${name}/${moment}`),
    );
    expect(Object.keys(after)).toEqual(["iter", ...names]);
    expect(after["kernel/m"]).toEqual(saved[1]![3]);
    // 0.9 of what was loaded, and a tenth of the gradient.
    expect(after["scale/m"]![0]).toBeCloseTo(0.9 * saved[3]![3][0]! + 0.1 * dyadic(1, 30)[0]!, 6);
    expect(after["bias/m"]![0]).toBeCloseTo(0.9 * saved[2]![3][0]! + 0.1 * dyadic(5, 31)[0]!, 6);
    expect(after["head/m"]![0]).toBeCloseTo(0.1 * dyadic(2, 40)[0]!, 6);
    expect(second.iterations).toBe(5);
  });

  it("variables that do not fit what was loaded are refused, and those that do still find it by name", async () => {
    const [first, variables] = [adam(tf), variablesOf()];
    train(first, variables, 0, 3);
    const second = adam(tf);
    await loadInto(second, read(await first.getWeights()));
    const wrong = [tf.variable(tf.ones([2]), true, "other"), variables[1]!];
    const error = await caught(() => train(second, wrong, 3, 4));
    expectError(error, rangeError("kernel", "ERR_SHAPE_MISMATCH"));
    for (const optimizer of [first, second]) train(optimizer, [variables[2]!], 3, 4);
    expect(read(await second.getWeights())).toEqual(read(await first.getWeights()));
  });

  it("weights are lent: the same tensors each time, live, and not a tensor more than before", async () => {
    const [optimizer, variables] = [adam(tf), variablesOf()];
    train(optimizer, variables, 0, 2);
    const first = await optimizer.getWeights();
    const { numTensors, numBytes } = tf.memory();
    const before = read(first);
    train(optimizer, variables, 2, 4);
    const second = await optimizer.getWeights();
    expect(tf.memory()).toMatchObject({ numTensors, numBytes });
    second.forEach(({ tensor }, i) => {
      expect(tensor).toBe(first[i]!.tensor);
    });
    expect(read(first)).not.toEqual(before);
    expect(first[0]!.tensor.dataSync()[0]).toBe(4);
  });

  it("a moment that is assigned is what the next step starts from", async () => {
    const [optimizer, variables] = [adam(tf), variablesOf()];
    train(optimizer, variables, 0, 2);
    const weights = await optimizer.getWeights();
    (weights[2]!.tensor as Variable).assign(tf.fill([5], 8));
    train(optimizer, variables, 2, 3);
    const [, , moment] = read(await optimizer.getWeights());
    dyadic(5, 21).forEach((gradient, i) => {
      expect(moment![3][i]).toBeCloseTo(7.2 + 0.1 * gradient, 5);
    });
  });

  describe("refused, with nothing changed", () => {
    const broken: Record<string, [(weights: Weights) => unknown, Expected]> = {
      "no array": [() => ({}), typeError("weights")],
      "an entry that is none": [(weights) => [weights[0], 3], typeError("weights[1]")],
      "an entry without a tensor": [(weights) => [weights[0], { name: "a" }], typeError("weights[1]")],
      "no iterations": [() => [], rangeError("weights", "ERR_STATE_MISMATCH")],
      "iterations that are none": [(weights) => weights.slice(1), rangeError("weights", "ERR_STATE_MISMATCH")],
      "a fraction of an iteration": [
        (weights) => [{ name: "iter", tensor: tf.scalar(1.5) }, ...weights.slice(1)],
        rangeError("iter"),
      ],
      "a moment too few": [(weights) => weights.slice(0, -1), rangeError("weights", "ERR_STATE_MISMATCH")],
      "other shapes in first and second moments": [
        (weights) => [...weights.slice(0, 4), weights[5], weights[4], weights[6]],
        rangeError("bias/v", "ERR_SHAPE_MISMATCH"),
      ],
      "shapes of other variables": [
        (weights) => [0, 2, 1, 3, 5, 4, 6].map((i) => ({ name: `x${weights[i]!.name}`, tensor: weights[i]!.tensor })),
        rangeError("xbias", "ERR_SHAPE_MISMATCH"),
      ],
      "moments of amsgrad": [
        (weights) => weights.map(({ name, tensor }) => ({ name: name.replace("/v", "/vhat"), tensor })),
        rangeError("weights", "ERR_STATE_MISMATCH"),
      ],
      "another type": [
        (weights) => weights.map(({ name, tensor }) => ({ name, tensor: tf.cast(tensor, "int32") })),
        typeError("kernel/m"),
      ],
      "a moment that is not finite": [
        (weights) => weights.with(2, { name: "bias/m", tensor: tf.fill([5], NaN) }),
        rangeError("bias/m", "ERR_NON_FINITE"),
      ],
      "a negative second moment": [
        (weights) => weights.with(5, { name: "bias/v", tensor: tf.fill([5], -1) }),
        rangeError("bias/v", "ERR_NON_FINITE"),
      ],
      "a disposed tensor": [
        (weights) => {
          const tensor = tf.ones([5]);
          tensor.dispose();
          return weights.with(2, { name: "bias/m", tensor });
        },
        stateError("bias/m", "ERR_DISPOSED"),
      ],
    };
    it.each(Object.entries(broken))("%s", async (_, [spoil, expected]) => {
      const [optimizer, variables] = [adam(tf), variablesOf()];
      train(optimizer, variables, 0, 3);
      const before = [read(await optimizer.getWeights()), values(variables)];
      const spoilt = spoil(await optimizer.getWeights());
      const { numTensors } = tf.memory();
      expectError(await caught(() => optimizer.setWeights(spoilt as never)), expected);
      expect(tf.memory().numTensors).toBe(numTensors);
      expect([read(await optimizer.getWeights()), values(variables)]).toEqual(before);
      expect(optimizer.iterations).toBe(3);
      train(optimizer, variables, 3, 4);
    });

    it("moments without the largest, for an optimizer with amsgrad", async () => {
      const [optimizer, variables] = [adam(tf), variablesOf()];
      train(optimizer, variables, 0, 3);
      const weights = await optimizer.getWeights();
      const expected = rangeError("weights", "ERR_STATE_MISMATCH");
      expectError(await caught(() => adam(tf, { amsgrad: true }).setWeights(weights)), expected);
    });
  });

  it("toTfjs and fromTfjs take what a real tf.train.adam has and give what it takes", async () => {
    const [theirs, variables] = [make["tf.train.adam"]!(), variablesOf()];
    train(theirs, variables, 0, 7);
    const weights = await theirs.getWeights();
    const start = values(variables);
    const options: AdamOptions = { lr: LR, eps: 1e-7 };
    const params = Object.fromEntries(variables.map(({ name }, i) => [name, Float32Array.from(start[i]!)]));
    const core = Adam.createSync(params, options);
    const names = Object.keys(SHAPES);
    const plain = weights.map(({ name, tensor }) => ({ name, data: tensor.dataSync().slice() })) as TfjsWeight[];
    core.loadStateDict(fromTfjs(plain, names, core.stateDict().param_groups));
    expect(toTfjs(core.stateDict(), names)).toEqual(plain);

    for (let step = 7; step < 27; step++) {
      names.forEach((name, i) => {
        core.grad(name).set(dyadic(core.grad(name).length, 10 * step + i));
      });
      core.step();
    }
    train(theirs, variables, 7, 27);
    const ours = names.map((name) => [...core.param(name)]);
    closeTo(ours, values(variables), (value) => 2e-6 * (27 * LR + Math.abs(value)));

    const back = make["tf.train.adam"]!();
    const saved = toTfjs(core.stateDict(), names).map(({ name, data }, i) => ({
      name,
      tensor: tf.tensor(data, weights[i]!.tensor.shape, weights[i]!.tensor.dtype),
    }));
    await back.setWeights(saved);
    for (const [i, variable] of variables.entries())
      variable.assign(tf.tensor(ours[i]!, variable.shape, "float32") as Variable);
    train(back, variables, 27, 30);
    for (let step = 27; step < 30; step++) {
      names.forEach((name, i) => {
        core.grad(name).set(dyadic(core.grad(name).length, 10 * step + i));
      });
      core.step();
    }
    closeTo(
      names.map((name) => [...core.param(name)]),
      values(variables),
      (value) => 2e-6 * (3 * LR + Math.abs(value)),
    );
  });
});

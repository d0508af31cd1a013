/**
 * Values that somebody else assigns between the steps of an optimizer of TensorFlow.js, as federated averaging does. Beside each
 * optimizer a core takes the same steps from the same values. Needs neither vitest nor Node: pages run it as well.
 */
import type { AdamOptions, AdamW } from "fused-adam";
import type { adamw, FusedOptimizer } from "fused-adam/tfjs";
import { firstDifference, showFloat } from "./bits.js";
import type { Tensor, tf as Tf, Variable } from "./tfjs.js";

export interface Kit {
  readonly tf: typeof Tf;
  readonly adamw: typeof adamw;
  readonly AdamW: typeof AdamW;
}

export interface Findings {
  /** Steps whose parameters were compared. */
  steps: number;
  /** Assignments to trained variables. */
  assigned: number;
  /** Tensors and arrays that must hold at the end what they held when they were assigned. */
  held: number;
  /** What has other bits than it should. */
  readonly differences: string[];
}

type Options = Required<Pick<AdamOptions, "lr" | "weightDecay" | "amsgrad">>;

export const OPTIONS: Readonly<Record<string, Options>> = {
  "with weight decay": { lr: 0.01, weightDecay: 0.1, amsgrad: false },
  "with amsgrad": { lr: 0.01, weightDecay: 0.01, amsgrad: true },
};

const MOMENTS = { m: "exp_avg", v: "exp_avg_sq", vhat: "max_exp_avg_sq" } as const;

/** Some numbers, others for each seed. */
const wave = (length: number, seed: number) => Float32Array.from({ length }, (_, i) => Math.sin(1.7 * i + seed));

const read = async (tensor: Tensor) => Float32Array.from(await tensor.data());

class Run {
  readonly findings: Findings = { steps: 0, assigned: 0, held: 0, differences: [] };
  readonly #held: { what: string; read: () => Promise<Float32Array>; values: Float32Array }[] = [];
  readonly #trainings: Training[] = [];
  #seed = 0;

  constructor(
    readonly kit: Kit,
    readonly options: Options,
  ) {}

  tensor(shape: number[]): Tensor {
    const { tf } = this.kit;
    return tf.tensor(wave(tf.util.sizeFromShape(shape), this.#seed++), shape, "float32");
  }

  variables(...shapes: number[][]): Variable[] {
    const { tf } = this.kit;
    return shapes.map((shape) => tf.tidy(() => tf.variable(this.tensor(shape))));
  }

  /** An optimizer for these variables, with its core. */
  async train(variables: readonly Variable[]): Promise<Training> {
    const training = new Training(this, variables, await Promise.all(variables.map(read)));
    this.#trainings.push(training);
    return training;
  }

  /** What this tensor holds now it must hold at the end, too. */
  async hold<T extends Tensor>(what: string, tensor: T): Promise<T> {
    this.#held.push({ what, read: () => read(tensor), values: await read(tensor) });
    this.findings.held++;
    return tensor;
  }

  holdArray(what: string, array: Float32Array): void {
    this.#held.push({ what, read: async () => array, values: array.slice() });
    this.findings.held++;
  }

  compare(what: string, actual: Float32Array, expected: Float32Array): void {
    const i = firstDifference(actual, expected);
    if (i >= 0) this.findings.differences.push(`${what}[${i}]: ${showFloat(actual[i])}, not ${showFloat(expected[i])}`);
  }

  async finish(): Promise<Findings> {
    for (const training of this.#trainings) await training.finish();
    for (const { what, read, values } of this.#held) this.compare(what, await read(), values);
    return this.findings;
  }
}

class Training {
  readonly #optimizer: FusedOptimizer;
  readonly #core: AdamW;

  constructor(
    readonly run: Run,
    readonly variables: readonly Variable[],
    values: readonly Float32Array[],
  ) {
    const { kit, options } = run;
    this.#optimizer = kit.adamw(kit.tf, options);
    const groups = variables.map(({ name, rank }, i) => ({
      params: { [name]: values[i]! },
      weightDecay: rank > 1 ? options.weightDecay : 0,
    }));
    this.#core = kit.AdamW.createSync(groups, options);
  }

  /** @param without variables that have no gradient this time */
  async step(without: readonly Variable[] = []): Promise<void> {
    const gradients = this.variables
      .filter((variable) => !without.includes(variable))
      .map(({ name, shape }) => ({ name, tensor: this.run.tensor(shape) }));
    for (const { name, tensor } of gradients) this.#core.grad(name).set(await read(tensor));
    this.#optimizer.applyGradients(gradients);
    this.#core.step({ skip: without.map(({ name }) => name) });
    this.run.findings.steps++;
    await this.#compare(`after step ${this.#core.stateDict().state[this.variables[0]!.name]!.step}`);
  }

  /** Nothing reads the variable between the assignment and the next step: reading could part it from the tensor. */
  async assign(variable: Variable, tensor: Tensor): Promise<void> {
    const values = await read(tensor);
    variable.assign(tensor as Variable);
    this.assigned([variable], [values]);
  }

  /** Tells the core of values that these variables were given. */
  assigned(variables: readonly Variable[], values: readonly Float32Array[]): void {
    for (const [i, { name }] of variables.entries()) this.#core.param(name).set(values[i]!);
    this.run.findings.assigned += variables.length;
  }

  /** The core's parameters, in the variables' order. */
  get params(): Float32Array[] {
    return this.variables.map(({ name }) => this.#core.param(name).slice());
  }

  async finish(): Promise<void> {
    const { state } = this.#core.stateDict();
    for (const { name: weight, tensor } of await this.#optimizer.getWeights()) {
      const [, name, moment] = /^(.*)\/(m|v|vhat)$/.exec(weight) ?? [];
      if (name !== undefined) {
        this.run.compare(weight, await read(tensor), state[name]![MOMENTS[moment as keyof typeof MOMENTS]]!);
      }
    }
    this.#optimizer.dispose();
    await this.#compare("after dispose()");
  }

  async #compare(when: string): Promise<void> {
    for (const variable of this.variables) {
      this.run.compare(`${variable.name} ${when}`, await read(variable), this.#core.param(variable.name));
    }
  }
}

interface Scenario extends Omit<Findings, "differences"> {
  readonly run: (run: Run) => Promise<void>;
}

/** What is assigned, and how much of it there is to compare. */
export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  "setWeights: the same averages to two models of tfjs-layers": {
    ...{ steps: 14, assigned: 24, held: 12 },
    run: async (run) => {
      const { tf } = run.kit;
      const createModel = () =>
        tf.sequential({
          layers: [
            tf.layers.dense({ units: 8, inputShape: [5], activation: "tanh" }),
            tf.layers.dense({ units: 3, activation: "softmax" }),
          ],
        });
      const models = [createModel(), createModel()];
      const weightsOf = (model: (typeof models)[number]) => model.getWeights() as Variable[];
      const trainings = await Promise.all(models.map((model) => run.train(weightsOf(model))));
      const x = run.tensor([4, 5]);
      for (let round = 0; round < 3; round++) {
        for (let i = 0; i < 2; i++) for (const training of trainings) await training.step();
        const [a, b] = models.map(weightsOf);
        const averages = tf.tidy(() => a!.map((weight, i) => tf.div(tf.add(weight, b![i]!), 2)));
        for (const [i, average] of averages.entries()) await run.hold(`average ${i} of round ${round}`, average);
        const values = await Promise.all(averages.map(read));
        for (const [i, model] of models.entries()) {
          model.setWeights(averages);
          trainings[i]!.assigned(weightsOf(model), values);
        }
      }
      for (const [i, training] of trainings.entries()) {
        await training.step();
        const fresh = createModel();
        fresh.setWeights(training.params.map((values, j) => tf.tensor(values, weightsOf(fresh)[j]!.shape, "float32")));
        const [actual, expected] = await Promise.all(
          [models[i]!, fresh].map((model) => read(model.predict(x) as Tensor)),
        );
        run.compare(`prediction of model ${i}`, actual!, expected!);
      }
    },
  },

  "assign: a tensor with a clone, a reshape and an untrained variable": {
    ...{ steps: 6, assigned: 3, held: 12 },
    run: async (run) => {
      const { tf } = run.kit;
      const [w, bias] = run.variables([3, 7], [5]) as [Variable, Variable];
      const training = await run.train([w, bias]);
      for (let i = 0; i < 3; i++) {
        await training.step();
        const tensor = await run.hold("the tensor", run.tensor([3, 7]));
        await run.hold("its clone", tensor.clone());
        await run.hold("its reshape", tf.reshape(tensor, [21]));
        await run.hold("an untrained variable", tf.variable(tensor, false));
        await training.assign(w, tensor);
      }
      for (let i = 0; i < 3; i++) await training.step();
    },
  },

  "assign: one tensor to three variables of an optimizer, twice": {
    ...{ steps: 4, assigned: 6, held: 2 },
    run: async (run) => {
      const variables = run.variables([4, 4], [4, 4], [4, 4]);
      const training = await run.train(variables);
      for (let i = 0; i < 2; i++) {
        await training.step();
        const tensor = await run.hold("the tensor", run.tensor([4, 4]));
        for (const variable of variables) await training.assign(variable, tensor);
      }
      for (let i = 0; i < 2; i++) await training.step();
    },
  },

  "assign: another variable of the same optimizer, and back": {
    ...{ steps: 4, assigned: 2, held: 0 },
    run: async (run) => {
      const [a, b] = run.variables([3, 5], [3, 5]) as [Variable, Variable];
      const training = await run.train([a, b]);
      await training.step();
      await training.assign(b, a);
      await training.step();
      await training.assign(a, b);
      for (let i = 0; i < 2; i++) await training.step();
    },
  },

  "assign: its own clone, made now and steps ago": {
    ...{ steps: 6, assigned: 2, held: 2 },
    run: async (run) => {
      const [w] = run.variables([6, 2]) as [Variable];
      const training = await run.train([w]);
      await training.step();
      const before = await run.hold("the clone of before", w.clone());
      for (let i = 0; i < 2; i++) await training.step();
      await training.assign(w, before);
      await training.step();
      await training.assign(w, await run.hold("the clone of now", w.clone()));
      for (let i = 0; i < 2; i++) await training.step();
    },
  },

  "assign: a tensor over an array that its owner keeps": {
    ...{ steps: 4, assigned: 2, held: 2 },
    run: async (run) => {
      const [w] = run.variables([4, 4]) as [Variable];
      const training = await run.train([w]);
      const array = wave(16, 0.5);
      run.holdArray("the array", array);
      const tensor = await run.hold("the tensor", run.kit.tf.tensor(array, [4, 4]));
      for (let i = 0; i < 2; i++) {
        await training.step();
        await training.assign(w, tensor);
      }
      for (let i = 0; i < 2; i++) await training.step();
    },
  },

  "assign: a tensor that is disposed of at once": {
    ...{ steps: 5, assigned: 3, held: 0 },
    run: async (run) => {
      const [w] = run.variables([2, 9]) as [Variable];
      const training = await run.train([w]);
      for (let i = 0; i < 3; i++) {
        await training.step();
        const tensor = run.tensor([2, 9]);
        await training.assign(w, tensor);
        tensor.dispose();
      }
      for (let i = 0; i < 2; i++) await training.step();
    },
  },

  "assign: before the first step, and to a variable without a gradient": {
    ...{ steps: 5, assigned: 2, held: 2 },
    run: async (run) => {
      const [w, bias] = run.variables([3, 3], [3]) as [Variable, Variable];
      const training = await run.train([w, bias]);
      await training.assign(w, await run.hold("the first tensor", run.tensor([3, 3])));
      await training.step();
      await training.assign(bias, await run.hold("the second tensor", run.tensor([3])));
      for (let i = 0; i < 2; i++) await training.step([bias]);
      for (let i = 0; i < 2; i++) await training.step();
    },
  },
};

/** Runs a scenario on the backend that TensorFlow.js is on. */
export async function findingsOf(kit: Kit, scenario: string, options: Options): Promise<Findings> {
  const run = new Run(kit, options);
  await SCENARIOS[scenario]!.run(run);
  return run.finish();
}

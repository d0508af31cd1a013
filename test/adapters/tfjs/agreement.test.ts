/** Whole training runs beside what users of tfjs have: tf.train.adam, and an AdamW of tensor operations. */
import { adam, adamw } from "fused-adam/tfjs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { fileUnless, ranInVitest } from "../../support/host.js";
import { dyadic } from "../../support/model.js";
import { type Tensor, tf, use, type Variable } from "../../support/tfjs.js";

fileUnless(ranInVitest("is mostly TensorFlow.js at work, and takes long"));

const STEPS = 200;
const LR = 0.01;

/** 12 inputs, two hidden layers of 16, one output, learning a fixed smooth function; the same numbers for every optimizer. */
class Net {
  readonly shapes = [[12, 16], [16], [16, 16], [16], [16, 1], [1]];
  readonly variables = this.shapes.map((shape, i) => {
    const values = dyadic(tf.util.sizeFromShape(shape), i).map((value) => value / 8);
    return tf.tidy(() => tf.variable(tf.tensor(values, shape, "float32")));
  });

  loss(step: number): Tensor {
    const [w1, b1, w2, b2, w3, b3] = this.variables as [Variable, Variable, Variable, Variable, Variable, Variable];
    const x = tf.tensor(dyadic(8 * 12, 1000 + step), [8, 12], "float32");
    const target = tf.sin(tf.sum(x, 1, true));
    const hidden = tf.tanh(tf.add(tf.matMul(tf.tanh(tf.add(tf.matMul(x, w1), b1)), w2), b2));
    return tf.mean(tf.square(tf.sub(tf.add(tf.matMul(hidden, w3), b3), target)));
  }

  train(minimize: (loss: () => never, variables: Variable[]) => void): Float32Array {
    for (let step = 0; step < STEPS; step++) minimize(() => this.loss(step) as never, this.variables);
    return Float32Array.from(this.variables.flatMap((variable) => [...variable.dataSync()]));
  }
}

/** Largest difference, as a share of how far a parameter could have gone: |a - b| / (lr * steps + |b|). */
function apart(a: Float32Array, b: Float32Array): number {
  return Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i]!) / (LR * STEPS + Math.abs(b[i]!))));
}

/** AdamW as users of tfjs write it (Loshchilov & Hutter 2019, algorithm 2): operations on tensors, decay for matrices. */
class TensorAdamW {
  readonly #state = new Map<string, { m: Tensor; v: Tensor }>();
  #step = 0;

  constructor(
    readonly lr: number,
    readonly decay: number,
    readonly clipNorm: number,
  ) {}

  minimize(loss: () => never, variables: Variable[]): void {
    const [beta1, beta2, epsilon] = [0.9, 0.999, 1e-8];
    this.#step++;
    const { value, grads } = tf.variableGrads(loss, variables);
    tf.tidy(() => {
      const squares = variables.map(({ name }) => tf.sum(tf.square(grads[name]!)));
      const clip = tf.minimum(1, tf.div(this.clipNorm, tf.sqrt(tf.addN(squares))));
      for (const variable of variables) {
        const g = tf.mul(grads[variable.name]!, clip);
        const old = this.#state.get(variable.name) ?? { m: tf.zerosLike(g), v: tf.zerosLike(g) };
        const m = tf.keep(tf.add(tf.mul(old.m, beta1), tf.mul(g, 1 - beta1)));
        const v = tf.keep(tf.add(tf.mul(old.v, beta2), tf.mul(tf.square(g), 1 - beta2)));
        tf.dispose([old.m, old.v]);
        this.#state.set(variable.name, { m, v });
        const direction = tf.div(
          tf.div(m, 1 - beta1 ** this.#step),
          tf.add(tf.sqrt(tf.div(v, 1 - beta2 ** this.#step)), epsilon),
        );
        const kept = tf.mul(variable, variable.rank > 1 ? 1 - this.lr * this.decay : 1);
        variable.assign(tf.sub(kept, tf.mul(direction, this.lr)) as Variable);
      }
    });
    tf.dispose([value, grads]);
  }
}

describe.each(["cpu", "wasm"] as const)("%s", (backend) => {
  beforeEach(() => use(backend));
  afterEach(() => tf.disposeVariables());

  // With eps ten times as large the same runs are 4e-5 and 3e-2 apart, so the bound tells them.
  it.each([1e-7, 1e-3])("200 steps of tf.train.adam, epsilon %d: within 5e-6 of (lr t + |p|)", (epsilon) => {
    const theirs = tf.train.adam(LR, 0.9, 0.999, epsilon);
    const expected = new Net().train((loss, variables) => theirs.minimize(loss, false, variables));
    const ours = adam(tf, { lr: LR, eps: epsilon });
    const actual = new Net().train((loss, variables) => ours.minimize(loss, false, variables));
    expect(apart(actual, expected)).toBeLessThan(5e-6);
    expect(ours.iterations).toBe(theirs.iterations);
  });

  it("200 steps of AdamW from tensor operations, decay 0.1, clipped to norm 0.5: within 5e-6 of (lr t + |p|)", () => {
    const theirs = new TensorAdamW(LR, 0.1, 0.5);
    const expected = new Net().train((loss, variables) => theirs.minimize(loss, variables));
    const ours = adamw(tf, { lr: LR, weightDecay: 0.1, clipNorm: 0.5 });
    const actual = new Net().train((loss, variables) => ours.minimize(loss, false, variables));
    expect(apart(actual, expected)).toBeLessThan(5e-6);
    // What the bound can tell: decay on vectors too is another run.
    const other = adamw(tf, { lr: LR, weightDecay: 0.1, clipNorm: 0.5, decay: () => true });
    const different = new Net().train((loss, variables) => other.minimize(loss, false, variables));
    expect(apart(different, expected)).toBeGreaterThan(1e-3);
  });
});

import { createRequire } from "node:module";
import { dirname } from "node:path";
import "@tensorflow/tfjs-backend-cpu";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
// Registers the gradients of all operations, which the core alone does not in Node.
import "@tensorflow/tfjs-layers";
import { adam } from "fused-adam/tfjs";
import { alternate, formatRatio, median, type Plan, quantile, ratio } from "./measure.js";
import type { Report } from "./report.js";

const THEIRS = "tf.train.adam";
const OURS = "fused-adam/tfjs";
const LR = 1e-3;
const EPSILON = 1e-7;
const optimizers = {
  [THEIRS]: () => tf.train.adam(LR, 0.9, 0.999, EPSILON),
  [OURS]: () => adam(tf, { lr: LR, eps: EPSILON }),
};
type Name = keyof typeof optimizers;
const names = [THEIRS, OURS] as const satisfies Name[];

const PLAN: Plan = { rounds: 15, milliseconds: 10, warmUp: 20 };

/** The optimizer alone on both backends of Node, then its share of whole training steps. */
export async function tfjsSteps(report: Report): Promise<void> {
  setWasmPaths(`${dirname(createRequire(import.meta.url).resolve("@tensorflow/tfjs-backend-wasm"))}/`);
  await tf.setBackend("wasm");
  await alone(report, "wasm", 1, 1 << 20, PLAN, 5);
  await alone(report, "wasm", 200, 64, PLAN, 20);
  await wholeSteps(report, "transformer", transformer());
  await wholeSteps(report, "MLP 784-256-256-10", perceptron());
  await tf.setBackend("cpu");
  await alone(report, "cpu", 1, 1 << 20, { ...PLAN, rounds: 5 }, 100);
  await alone(report, "cpu", 200, 64, PLAN);
}

/** Variables with the same values for each optimizer. */
function variablesFor(shapes: readonly number[][]): tf.Variable[] {
  let seed = 1;
  return shapes.map((shape) => {
    const scale = shape.length > 1 ? 1 / Math.sqrt(shape[0]!) : 0.01;
    const values = Float32Array.from({ length: tf.util.sizeFromShape(shape) }, () => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return (seed / 2 ** 31 - 1) * scale;
    });
    return tf.tidy(() => tf.variable(tf.tensor(values, shape, "float32")));
  });
}

/** Compares results before anything is timed: after three steps, within `share` of the largest possible change. */
function validate(title: string, one: readonly tf.Variable[], other: readonly tf.Variable[], share: number): void {
  one.forEach((variable, i) => {
    const [a, b] = [variable.dataSync(), other[i]!.dataSync()];
    a.forEach((value, j) => {
      const bound = 3 * LR * share + 2 ** -22 * Math.abs(value);
      if (!(Math.abs(value - b[j]!) <= bound))
        throw new Error(`${title}: expected ${value} at ${i}, ${j}, got ${b[j]}`);
    });
  });
}

async function alone(
  report: Report,
  backend: string,
  count: number,
  size: number,
  plan: Plan,
  goal?: number,
): Promise<void> {
  const sets = names.map((name) => {
    const variables = variablesFor(Array.from({ length: count }, () => [size]));
    const gradients = variables.map((variable) => ({ name: variable.name, tensor: tf.mul(variable, 0.01) }));
    const optimizer = optimizers[name]();
    return { name, variables, optimizer, gradients, step: () => optimizer.applyGradients(gradients) };
  });
  const title = `${backend}, ${count} x ${size.toLocaleString("en")}`;
  for (const { step } of sets) for (let i = 0; i < 3; i++) step();
  validate(title, sets[0]!.variables, sets[1]!.variables, 2e-5);
  const samples = await alternate(sets, plan);
  report.row(`tfjs ${title}, optimizer alone`, count * size, {
    ...Object.fromEntries(names.map((name) => [`${name}, ms`, median(samples.get(name)!) / 1e6])),
    [`${THEIRS} / ${OURS}`]: formatRatio(samples, THEIRS, OURS),
  });
  const times = ratio(samples, THEIRS, OURS).median;
  if (goal !== undefined) report.goal(`tfjs ${title}: at least ${goal}x`, times >= goal, times.toFixed(1));
  for (const { variables, optimizer, gradients } of sets) {
    optimizer.dispose();
    tf.dispose([variables, gradients.map(({ tensor }) => tensor)]);
  }
}

interface Task {
  readonly shapes: readonly number[][];
  readonly loss: (variables: readonly tf.Variable[]) => tf.Tensor;
}

/** Steps with each optimizer, and which share of each step its `applyGradients` took. */
async function wholeSteps(report: Report, title: string, { shapes, loss }: Task): Promise<void> {
  const sets = names.map((name) => {
    const variables = variablesFor(shapes);
    const optimizer: tf.Optimizer = optimizers[name]();
    const apply = optimizer.applyGradients.bind(optimizer);
    let spent = 0;
    optimizer.applyGradients = (...gradients: Parameters<typeof apply>) => {
      const start = performance.now();
      apply(...gradients);
      spent = performance.now() - start;
    };
    const shares: number[] = [];
    const step = () => {
      const start = performance.now();
      optimizer.minimize(() => loss(variables) as tf.Scalar, false, variables);
      shares.push(spent / (performance.now() - start));
    };
    return { name, variables, optimizer, step, shares };
  });
  for (const { step } of sets) for (let i = 0; i < 3; i++) step();
  // Their gradients differ by now, and near epsilon a small difference has a large effect.
  validate(title, sets[0]!.variables, sets[1]!.variables, 1e-3);
  const samples = await alternate(sets, PLAN);
  const percent = (shares: readonly number[]) => {
    const [middle, low, high] = [0.5, 0.25, 0.75].map((q) => (100 * quantile(shares, q)).toFixed(2));
    return `${middle} % (${low}–${high})`;
  };
  const length = shapes.reduce((sum, shape) => sum + tf.util.sizeFromShape(shape), 0);
  report.row(`tfjs wasm, ${title}, whole steps`, length, {
    variables: shapes.length,
    ...Object.fromEntries(names.map((name) => [`${name}, ms`, median(samples.get(name)!) / 1e6])),
    ...Object.fromEntries(sets.map(({ name, shares }) => [`share of ${name}`, percent(shares)])),
    "step / step": formatRatio(samples, THEIRS, OURS),
  });
  for (const { variables, optimizer } of sets) {
    optimizer.dispose();
    tf.dispose(variables);
  }
}

function perceptron(): Task {
  const widths = [784, 256, 256, 10];
  const x = variablesFor([[64, 784]])[0]!;
  const labels = tf.oneHot(
    tf.tensor1d(
      Array.from({ length: 64 }, (_, i) => i % 10),
      "int32",
    ),
    10,
  );
  return {
    shapes: widths.slice(1).flatMap((width, i) => [[widths[i]!, width], [width]]),
    loss(variables) {
      let hidden: tf.Tensor = x;
      for (let i = 0; i < variables.length; i += 2) {
        const sum = tf.add(tf.matMul(hidden, variables[i]!), variables[i + 1]!);
        hidden = i + 2 < variables.length ? tf.relu(sum) : sum;
      }
      return tf.losses.softmaxCrossEntropy(labels, hidden);
    },
  };
}

/** Two blocks of width 64 with four heads, over 8 sequences of 32 from a vocabulary of 64, as one writes it from operations. */
function transformer(): Task {
  const [batch, length, vocabulary, width, heads, blocks] = [8, 32, 64, 64, 4, 2];
  const tokens = Array.from({ length: batch * length }, (_, i) => (i * 7 + (i >> 3)) % vocabulary);
  const one = (ids: number[]) => tf.cast(tf.oneHot(tf.tensor1d(ids, "int32"), vocabulary), "float32");
  const [x, target] = [one(tokens), one([...tokens.slice(1), 0])];
  const mask = tf.tensor(
    Float32Array.from({ length: length * length }, (_, i) => (i % length > Math.floor(i / length) ? -1e9 : 0)),
    [length, length],
  );
  const block = [[width], [width], [width, 3 * width], [width, width], [width], [width], [width, 4 * width]];
  const norm = (value: tf.Tensor, gain: tf.Tensor, bias: tf.Tensor) => {
    const centred = tf.sub(value, tf.mean(value, -1, true));
    const deviation = tf.sqrt(tf.add(tf.mean(tf.square(centred), -1, true), 1e-5));
    return tf.add(tf.mul(tf.div(centred, deviation), tf.add(gain, 1)), bias);
  };
  const split = (value: tf.Tensor) =>
    tf.transpose(tf.reshape(value, [batch, length, heads, width / heads]), [0, 2, 1, 3]);

  return {
    shapes: [
      [vocabulary, width],
      [length, width],
      ...Array.from({ length: blocks }, () => [...block, [4 * width], [4 * width, width], [width]]).flat(),
      [width, vocabulary],
    ],
    loss([embedding, positions, ...rest]) {
      let stream = tf.reshape(tf.matMul(x, embedding as tf.Tensor2D), [batch, length, width]);
      stream = tf.add(stream, positions!);
      for (let i = 0; i < blocks; i++) {
        const [g1, b1, qkv, out, g2, b2, up, upBias, down, downBias] = rest.slice(10 * i, 10 * i + 10) as tf.Tensor[];
        const flat = (value: tf.Tensor) => tf.reshape(value, [batch * length, -1]);
        const [q, k, v] = tf.split(tf.matMul(flat(norm(stream, g1!, b1!)), qkv!), 3, 1).map(split);
        const scores = tf.add(tf.mul(tf.matMul(q!, k!, false, true), 1 / Math.sqrt(width / heads)), mask);
        const mixed = tf.transpose(tf.matMul(tf.softmax(scores), v!), [0, 2, 1, 3]);
        stream = tf.add(stream, tf.reshape(tf.matMul(flat(mixed), out!), stream.shape));
        const hidden = tf.relu(tf.add(tf.matMul(flat(norm(stream, g2!, b2!)), up!), upBias!));
        stream = tf.add(stream, tf.reshape(tf.add(tf.matMul(hidden, down!), downBias!), stream.shape));
      }
      const logits = tf.matMul(tf.reshape(stream, [batch * length, width]), rest.at(-1) as tf.Tensor2D);
      return tf.losses.softmaxCrossEntropy(target, logits);
    },
  };
}

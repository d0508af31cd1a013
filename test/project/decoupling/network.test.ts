/** The network of examples/decoupling, against float64 and finite differences of it. */
import { beforeAll, describe, expect, it } from "vitest";
import type { Dataset } from "../../../examples/decoupling/dataset.js";
import { Network } from "../../../examples/decoupling/network.js";
import { createRng } from "../../../examples/shared/rng.js";
import { compiledNetwork, randomDataset } from "./support.js";

let module: WebAssembly.Module;
beforeAll(() => {
  module = compiledNetwork();
});

interface Weights {
  readonly w1: ArrayLike<number>;
  readonly w2: ArrayLike<number>;
}

/** The logits of an example, in float64, straight from the formula. */
function logitsOf(
  { inputs, classes, starts, columns, values }: Dataset,
  hidden: number,
  { w1, w2 }: Weights,
  i: number,
) {
  const x = new Float64Array(inputs);
  for (let entry = starts[i]!; entry < starts[i + 1]!; entry++) x[columns[entry]!]! += values[entry]!;
  const layer = Array.from({ length: hidden }, (_, j) =>
    Math.max(
      0,
      x.reduce((sum, value, k) => sum + value * w1[k * hidden + j]!, 0),
    ),
  );
  return Array.from({ length: classes }, (_, c) =>
    layer.reduce((sum, value, j) => sum + value * w2[c * hidden + j]!, 0),
  );
}

function meanLoss(data: Dataset, hidden: number, weights: Weights, batch: Uint32Array): number {
  let loss = 0;
  for (const i of batch) {
    const logits = logitsOf(data, hidden, weights, i);
    const largest = Math.max(...logits);
    const sum = logits.reduce((total, logit) => total + Math.exp(logit - largest), 0);
    loss += largest + Math.log(sum) - logits[data.labels[i]!]!;
  }
  return loss / batch.length;
}

/** A network with random weights, and views of what it has in memory. */
function build(data: Dataset, hidden: number, room: number, scale = 0.3) {
  const network = new Network(module, data, hidden, room);
  const view = (name: "w1" | "w2", region: "param" | "grad") =>
    new Float32Array(network.memory.buffer, network.pointers[name][region], network.pointers[name].length);
  const weights = { w1: view("w1", "param"), w2: view("w2", "param") };
  const grads = { w1: view("w1", "grad"), w2: view("w2", "grad") };
  const rng = createRng(7);
  for (const values of Object.values(weights)) values.set(Array.from(values, () => scale * (2 * rng() - 1)));
  return { network, weights, grads };
}

describe.each([
  // As many classes as fill their padding, one more, fewer; batches with and without a rest of four.
  { inputs: 12, hidden: 16, classes: 2, batch: [0, 1, 2, 3, 4] },
  { inputs: 9, hidden: 32, classes: 8, batch: [5] },
  { inputs: 7, hidden: 16, classes: 9, batch: [4, 1, 4, 0] },
  { inputs: 20, hidden: 64, classes: 23, batch: [0, 1, 2, 3, 4, 5, 6] },
])("$inputs-$hidden-$classes, a batch of $batch.length", ({ inputs, hidden, classes, batch: numbers }) => {
  const data = randomDataset(inputs, classes, 8, inputs);
  const batch = Uint32Array.from(numbers);

  it("adds the gradient: to 1e-6 of the largest, of float64's central differences", () => {
    const { network, weights, grads } = build(data, hidden, 8);
    network.gradients(batch);
    const exact = { w1: Float64Array.from(weights.w1), w2: Float64Array.from(weights.w2) };
    for (const name of ["w1", "w2"] as const) {
      const differences = exact[name].map((value, i) => {
        const [below, above] = [-1e-5, 1e-5].map((step) => {
          const moved = { ...exact, [name]: exact[name].with(i, value + step) };
          return meanLoss(data, hidden, moved, batch);
        });
        return (above! - below!) / 2e-5;
      });
      const largest = Math.max(...differences.map(Math.abs));
      expect(largest).toBeGreaterThan(1e-3);
      const errors = differences.map((value, i) => Math.abs(grads[name][i]! - value) / largest);
      expect(Math.max(...errors), name).toBeLessThan(1e-6);
    }
    const once = grads.w1.slice();
    network.gradients(batch);
    const twice = Math.max(...grads.w1.map((value, i) => Math.abs(value - 2 * once[i]!)));
    expect(twice).toBeLessThan(1e-6 * Math.max(...once.map(Math.abs)));
  });

  it("evaluates: the loss of float64 to 1e-6 of it, and the share of the largest logits that are the label's", () => {
    const { network, weights } = build(data, hidden, 3);
    const all = Uint32Array.of(0, 1, 2, 3, 4, 5, 6, 7);
    const { loss, accuracy } = network.evaluate(all);
    const exact = meanLoss(data, hidden, weights, all);
    expect(Math.abs(loss - exact) / exact).toBeLessThan(1e-6);
    const right = all.filter((i) => {
      const logits = logitsOf(data, hidden, weights, i);
      return logits.indexOf(Math.max(...logits)) === data.labels[i];
    });
    expect(accuracy).toBe(right.length / all.length);
  });
});

describe("at the ends of what floats hold", () => {
  const data = randomDataset(6, 5, 8, 3);
  const all = Uint32Array.of(0, 2, 3, 4, 5, 6, 7);

  it("logits thousands apart: every gradient finite, that of a label far below the others as of a probability of 0", () => {
    const { network, weights, grads } = build(data, 16, 8, 100);
    network.gradients(all);
    expect([...grads.w1, ...grads.w2].every(Number.isFinite)).toBe(true);
    // Softmax is 1 at the largest logit, so w2's gradient is a sum of whole hidden layers over the batch's size.
    const hiddenOf = (i: number) => {
      const identity = Float64Array.from({ length: 16 * 16 }, (_, k) => (k % 17 === 0 ? 1 : 0));
      return logitsOf({ ...data, classes: 16 }, 16, { w1: weights.w1, w2: identity }, i);
    };
    const expected = new Float64Array(grads.w2.length);
    for (const i of all) {
      const logits = logitsOf(data, 16, weights, i);
      const answer = logits.indexOf(Math.max(...logits));
      const rest = logits.filter((logit) => logits[answer]! - logit < 90);
      expect(rest, "the answer is far above the others").toHaveLength(1);
      hiddenOf(i).forEach((value, j) => {
        expected[answer * 16 + j]! += value / all.length;
        expected[data.labels[i]! * 16 + j]! -= value / all.length;
      });
    }
    const largest = Math.max(...expected.map(Math.abs));
    grads.w2.forEach(
      (value, i) => void expect(Math.abs(value - expected[i]!) / largest, `w2[${i}]`).toBeLessThan(1e-6),
    );
  });

  it("equal logits count as the first class, NaN as none", () => {
    const { network, weights } = build(data, 16, 8);
    weights.w2.fill(0);
    const ofFirst = all.filter((i) => data.labels[i] === 0).length / all.length;
    expect(network.evaluate(all).accuracy).toBe(ofFirst);
    weights.w2.fill(Number.NaN);
    expect(network.evaluate(all)).toEqual({ loss: Number.NaN, accuracy: 0 });
  });

  it("refuses a hidden layer that is no multiple of 16, and more examples than there is room for", () => {
    expect(() => new Network(module, data, 24, 8)).toThrow('"hidden": expected a multiple of 16, got 24');
    expect(() => build(data, 16, 3).network.gradients(all)).toThrow('"batch": expected at most 3 examples, got 7');
  });
});

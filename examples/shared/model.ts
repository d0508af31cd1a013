import { CLASSES, type Dataset, PIXELS } from "./data.js";
import type { Rng } from "./rng.js";

export const HIDDEN = 64;

/** 784 → 64, ReLU → 10, softmax. Row i of w1 holds the 64 weights that leave pixel i. */
export const SHAPES = {
  w1: [PIXELS, HIDDEN],
  b1: [HIDDEN],
  w2: [HIDDEN, CLASSES],
  b2: [CLASSES],
} as const;

/** The four tensors of the model: its parameters, or their gradients. */
export type Tensors = Record<keyof typeof SHAPES, Float32Array>;

/** He initialisation for the weights, zero for the biases. */
export function initialValues(rng: Rng): Tensors {
  return {
    w1: heUniform(PIXELS, HIDDEN, rng),
    b1: new Float32Array(HIDDEN),
    w2: heUniform(HIDDEN, CLASSES, rng),
    b2: new Float32Array(CLASSES),
  };
}

function heUniform(inputs: number, outputs: number, rng: Rng): Float32Array {
  const bound = Math.sqrt(6 / inputs);
  return Float32Array.from({ length: inputs * outputs }, () => bound * (2 * rng() - 1));
}

/** Mean cross entropy of the images at `indices`. Adds its gradient to `grads`. */
export function lossAndGradients(params: Tensors, grads: Tensors, data: Dataset, indices: Uint32Array): number {
  let loss = 0;
  for (const index of indices) {
    loss += forward(params, data, index);
    backward(params, grads, data, index, 1 / indices.length);
  }
  return loss / indices.length;
}

/** Mean cross entropy and share of right answers over a whole data set. */
export function evaluate(params: Tensors, data: Dataset): { loss: number; accuracy: number } {
  let loss = 0;
  let right = 0;
  for (let index = 0; index < data.size; index++) {
    loss += forward(params, data, index);
    if (probabilities.indexOf(Math.max(...probabilities)) === data.labels[index]) right++;
  }
  return { loss: loss / data.size, accuracy: right / data.size };
}

// The activations of one image, written by forward and read by backward. One image at a time keeps them in cache.
const hidden = new Float32Array(HIDDEN);
const hiddenGrad = new Float32Array(HIDDEN);
const probabilities = new Float32Array(CLASSES);

function forward({ w1, b1, w2, b2 }: Tensors, { images, labels }: Dataset, index: number): number {
  hidden.set(b1);
  for (let i = 0; i < PIXELS; i++) {
    const pixel = images[index * PIXELS + i]!;
    // Four of five pixels are black, and a black pixel adds nothing, neither forward nor backward.
    if (pixel === 0) continue;
    const row = i * HIDDEN;
    for (let j = 0; j < HIDDEN; j++) hidden[j]! += pixel * w1[row + j]!;
  }

  const logits = probabilities;
  logits.set(b2);
  for (let j = 0; j < HIDDEN; j++) {
    const activation = Math.max(0, hidden[j]!);
    hidden[j] = activation;
    for (let c = 0; c < CLASSES; c++) logits[c]! += activation * w2[j * CLASSES + c]!;
  }

  // log Σ exp with the largest logit subtracted first, so that no exponential overflows.
  const largest = Math.max(...logits);
  let sum = 0;
  for (let c = 0; c < CLASSES; c++) sum += Math.exp(logits[c]! - largest);
  const logSum = largest + Math.log(sum);
  const loss = logSum - logits[labels[index]!]!;
  for (let c = 0; c < CLASSES; c++) probabilities[c] = Math.exp(logits[c]! - logSum);
  return loss;
}

function backward(params: Tensors, grads: Tensors, { images, labels }: Dataset, index: number, scale: number): void {
  const { w2 } = params;
  // Softmax with cross entropy: the gradient of a logit is its probability, minus one for the right class.
  const logitGrads = probabilities;
  logitGrads[labels[index]!]! -= 1;
  for (let c = 0; c < CLASSES; c++) {
    logitGrads[c]! *= scale;
    grads.b2[c]! += logitGrads[c]!;
  }

  for (let j = 0; j < HIDDEN; j++) {
    const activation = hidden[j]!;
    let sum = 0;
    if (activation > 0) {
      for (let c = 0; c < CLASSES; c++) {
        grads.w2[j * CLASSES + c]! += activation * logitGrads[c]!;
        sum += w2[j * CLASSES + c]! * logitGrads[c]!;
      }
    }
    hiddenGrad[j] = sum;
    grads.b1[j]! += sum;
  }

  const w1Grad = grads.w1;
  for (let i = 0; i < PIXELS; i++) {
    const pixel = images[index * PIXELS + i]!;
    if (pixel === 0) continue;
    const row = i * HIDDEN;
    for (let j = 0; j < HIDDEN; j++) w1Grad[row + j]! += pixel * hiddenGrad[j]!;
  }
}

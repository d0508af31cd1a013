import { Adam, AdamW } from "fused-adam";
import type { Dataset } from "./data.js";
import { initialValues, lossAndGradients, SHAPES } from "./model.js";
import { createRng, permutation } from "./rng.js";
import { batchesOf, createOptimizer } from "./train.js";

/*
 * How much decay does a weight receive, when every weight was asked to decay by the same λ?
 *
 * The gradients of w1 are recorded from a real training run and then replayed from the same starting weights, with decay
 * and without. Decay cannot change gradients that are recorded, so what differs at the end is its doing alone:
 *
 *     multiple = (p_without − p_with) / (α · λ · Σ p_with)
 *
 * The sum goes over the weight before each step. 1 means: decayed as asked.
 */

/** Constant here: one number to divide by. */
const ALPHA = 1e-3;

/** Starting weights smaller than this are left out: dividing by next to nothing measures rounding, not decay. */
const SMALLEST_WEIGHT = 0.01;

export interface GradientStream {
  readonly start: Float32Array;
  /** The gradient of w1 at each step. */
  readonly gradients: readonly Float32Array[];
}

export interface Spread {
  readonly median: number;
  /** 10th and 90th percentile. */
  readonly low: number;
  readonly high: number;
}

export interface DecayColumn {
  readonly label: string;
  readonly lambda: number;
  /** One entry per bin. */
  readonly received: readonly Spread[];
}

export interface DecayTable {
  readonly steps: number;
  readonly lambda: number;
  /** Weights with a gradient, smallest RMS gradient first, then the weights whose gradient was always zero. */
  readonly bins: readonly { readonly smallest: number; readonly largest: number; readonly weights: number }[];
  readonly columns: { readonly [key in "sgdL2" | "sgdDecay" | "adamL2" | "adamL2Scaled" | "adamW"]: DecayColumn };
}

/** The gradients of the first `steps` steps of a training run without decay. */
export async function recordGradients(data: Dataset, steps: number, seed: number): Promise<GradientStream> {
  const rng = createRng(seed);
  const initial = initialValues(rng);
  const rule = { label: "recording", optimizer: Adam, weightDecay: 0 };
  const { optimizer, params, grads } = await createOptimizer(rule, initial, () => ALPHA);
  const gradients: Float32Array[] = [];
  while (gradients.length < steps) {
    for (const batch of batchesOf(data.size, permutation(data.size, rng)).slice(0, steps - gradients.length)) {
      lossAndGradients(params, grads, data, batch);
      gradients.push(grads.w1.slice());
      optimizer.step({ zeroGrad: true });
    }
  }
  optimizer.dispose();
  return { start: initial.w1, gradients };
}

export async function measureDecay(stream: GradientStream, lambda: number, binCount: number): Promise<DecayTable> {
  const rms = rootMeanSquare(stream.gradients);
  const bins = binByGradient(stream.start, rms, binCount);

  const column = (label: string, without: Path, withDecay: Path, used = lambda): DecayColumn => {
    const multiples = withDecay.end.map((end, i) => (without.end[i]! - end) / (ALPHA * lambda * withDecay.sum[i]!));
    return { label, lambda: used, received: bins.map((bin) => spread(bin, multiples)) };
  };

  const sgd = replaySgd(stream, 0, "L2");
  const adam = await replayAdam(Adam, stream, 0);
  const adamW = await replayAdam(AdamW, stream, 0);

  // What somebody would do who has seen the column "Adam + L2": turn λ down until the middle bin decays as asked.
  const middle = Math.floor(binCount / 2);
  const adamL2 = column("Adam + L2", adam, await replayAdam(Adam, stream, lambda));
  let adamL2Scaled = adamL2;
  for (let round = 0; round < 10 && Math.abs(adamL2Scaled.received[middle]!.median - 1) > 0.002; round++) {
    const used = adamL2Scaled.lambda / adamL2Scaled.received[middle]!.median;
    adamL2Scaled = column("Adam + L2", adam, await replayAdam(Adam, stream, used), used);
  }

  return {
    steps: stream.gradients.length,
    lambda,
    bins: bins.map((bin) => ({ smallest: rms[bin[0]!]!, largest: rms[bin.at(-1)!]!, weights: bin.length })),
    columns: {
      sgdL2: column("SGD + L2", sgd, replaySgd(stream, lambda, "L2")),
      sgdDecay: column("SGD + decay", sgd, replaySgd(stream, lambda, "decay")),
      adamL2,
      adamL2Scaled,
      adamW: column("AdamW", adamW, await replayAdam(AdamW, stream, lambda)),
    },
  };
}

/** Where a replay ended, and each weight summed over the steps, before the step. */
interface Path {
  readonly end: Float64Array;
  readonly sum: Float64Array;
}

/** In float64, to show that for SGD the two kinds of decay are one and the same thing. */
function replaySgd({ start, gradients }: GradientStream, lambda: number, kind: "L2" | "decay"): Path {
  const end = Float64Array.from(start);
  const sum = new Float64Array(start.length);
  for (const gradient of gradients) {
    for (let i = 0; i < end.length; i++) {
      const p = end[i]!;
      sum[i]! += p;
      end[i] =
        kind === "L2" ? p - ALPHA * (gradient[i]! + lambda * p) : p * (1 - ALPHA * lambda) - ALPHA * gradient[i]!;
    }
  }
  return { end, sum };
}

async function replayAdam(
  optimizerClass: typeof Adam | typeof AdamW,
  { start, gradients }: GradientStream,
  lambda: number,
): Promise<Path> {
  const optimizer = await optimizerClass.create(
    { w1: { shape: SHAPES.w1, data: start } },
    { lr: ALPHA, weightDecay: lambda },
  );
  const param = optimizer.param("w1");
  const grad = optimizer.grad("w1");
  const sum = new Float64Array(start.length);
  for (const gradient of gradients) {
    for (let i = 0; i < sum.length; i++) sum[i]! += param[i]!;
    grad.set(gradient);
    optimizer.step();
  }
  const end = Float64Array.from(param);
  optimizer.dispose();
  return { end, sum };
}

function rootMeanSquare(gradients: readonly Float32Array[]): Float64Array {
  const squares = new Float64Array(gradients[0]!.length);
  for (const gradient of gradients) {
    for (let i = 0; i < squares.length; i++) squares[i]! += gradient[i]! ** 2;
  }
  return squares.map((sum) => Math.sqrt(sum / gradients.length));
}

/** Bins of equally many weights by their RMS gradient, and a last one for the weights that never had any. */
function binByGradient(start: Float32Array, rms: Float64Array, binCount: number): number[][] {
  const measurable = [...start.keys()].filter((i) => Math.abs(start[i]!) >= SMALLEST_WEIGHT);
  const active = measurable.filter((i) => rms[i]! > 0).sort((i, j) => rms[i]! - rms[j]!);
  const edge = (bin: number) => Math.round((bin * active.length) / binCount);
  const bins = Array.from({ length: binCount }, (_, bin) => active.slice(edge(bin), edge(bin + 1)));
  return [...bins, measurable.filter((i) => rms[i] === 0)];
}

function spread(bin: readonly number[], values: Float64Array): Spread {
  const sorted = Float64Array.from(bin, (i) => values[i]!).sort();
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))]!;
  return { median: at(0.5), low: at(0.1), high: at(0.9) };
}

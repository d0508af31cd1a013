import { Adam, AdamW } from "fused-adam";
import type { Dataset } from "../shared/data.js";
import { binByGradient, type Spread, spread } from "../shared/gradientBins.js";
import { initialValues, lossAndGradients } from "../shared/model.js";
import { createRng, permutation } from "../shared/rng.js";
import { batchesOf, createModel } from "../shared/run.js";
import { multiples, type Path, Replay } from "./replay.js";

/** Constant here, so that there is one number to divide by. */
const ALPHA = 1e-3;

export interface GradientStream {
  readonly start: Float32Array;
  /** The gradient of w1 at each step. */
  readonly gradients: readonly Float32Array[];
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
  const { optimizer, params, grads } = await createModel(rule, initial, { lr: ALPHA });
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
    const values = multiples(without.end, withDecay);
    return { label, lambda: used, received: bins.map((bin) => spread(bin, values)) };
  };

  const sgd = replaySgd(stream, 0, "L2");
  const adam = await replayAdam(Adam, stream, 0, lambda);
  const adamW = await replayAdam(AdamW, stream, 0, lambda);

  // λ turned down until the middle bin of the column "Adam + L2" decays as asked.
  const middle = Math.floor(binCount / 2);
  const adamL2 = column("Adam + L2", adam, await replayAdam(Adam, stream, lambda, lambda));
  let adamL2Scaled = adamL2;
  for (let round = 0; round < 10 && Math.abs(adamL2Scaled.received[middle]!.median - 1) > 0.002; round++) {
    const used = adamL2Scaled.lambda / adamL2Scaled.received[middle]!.median;
    adamL2Scaled = column("Adam + L2", adam, await replayAdam(Adam, stream, used, lambda), used);
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
      adamW: column("AdamW", adamW, await replayAdam(AdamW, stream, lambda, lambda)),
    },
  };
}

/** In float64, to show that for SGD both kinds of decay are the same. */
function replaySgd({ start, gradients }: GradientStream, lambda: number, kind: "L2" | "decay"): Path {
  const end = Float64Array.from(start);
  const asked = new Float64Array(start.length);
  for (const gradient of gradients) {
    for (let i = 0; i < end.length; i++) {
      const p = end[i]!;
      asked[i]! += ALPHA * lambda * p;
      end[i] =
        kind === "L2" ? p - ALPHA * (gradient[i]! + lambda * p) : p * (1 - ALPHA * lambda) - ALPHA * gradient[i]!;
    }
  }
  return { end, asked };
}

async function replayAdam(
  rule: typeof Adam | typeof AdamW,
  { start, gradients }: GradientStream,
  used: number,
  lambda: number,
): Promise<Path> {
  const replay = await Replay.create(rule, start, { lr: ALPHA, weightDecay: used });
  for (const gradient of gradients) replay.step(gradient, ALPHA * lambda);
  const path = { end: replay.end.slice(), asked: replay.asked };
  replay.optimizer.dispose();
  return path;
}

function rootMeanSquare(gradients: readonly Float32Array[]): Float64Array {
  const squares = new Float64Array(gradients[0]!.length);
  for (const gradient of gradients) {
    for (let i = 0; i < squares.length; i++) squares[i]! += gradient[i]! ** 2;
  }
  return squares.map((sum) => Math.sqrt(sum / gradients.length));
}

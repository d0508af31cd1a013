import { NeuralNetwork } from "toygrad";
import { CLASSES, PIXELS } from "../shared/data.js";
import type { Rng } from "../shared/rng.js";
import type { ParamsAndGrads } from "./integrate.js";

/** 784 → 32, ReLU → 10, softmax, in toygrad. It draws its weights with Math.random; they are replaced by weights drawn from a seed. */
export function createNetwork(rng: Rng): NeuralNetwork {
  const network = new NeuralNetwork({
    layers: [
      { type: "input", sx: 1, sy: 1, sz: PIXELS },
      { type: "dense", filters: 32 },
      { type: "relu" },
      { type: "dense", filters: CLASSES },
      { type: "softmax" },
    ],
  });
  for (const { params, l2decay } of pairsOf(network)) {
    const bound = Math.sqrt(6 / params.length);
    // Biases, which do not decay, stay at zero.
    if (l2decay > 0) for (let i = 0; i < params.length; i++) params[i] = bound * (2 * rng() - 1);
  }
  return network;
}

export function pairsOf(network: NeuralNetwork): ParamsAndGrads[] {
  return network.getParamsAndGrads() as ParamsAndGrads[];
}

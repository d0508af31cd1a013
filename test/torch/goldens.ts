/** Typed access to goldens.json, which generate.py writes. */
import { readFileSync } from "node:fs";
import type { GradientKind } from "./gradients.js";

export interface GoldenTensor {
  param: number[];
  exp_avg: number[];
  exp_avg_sq: number[];
  max_exp_avg_sq?: number[];
}

/** By step ("1", "2", "10", "100", "1000"), then by parameter name. */
export type GoldenRun = Record<string, Record<string, GoldenTensor>>;

export interface GoldenGroup {
  options: {
    lr: number;
    betas: [number, number];
    eps: number;
    weightDecay: number;
    amsgrad: boolean;
    maximize: boolean;
  };
  params: { name: string; length: number; seed: number }[];
}

export interface GoldenCase {
  name: string;
  mode: "adam" | "adamw";
  gradients: GradientKind;
  groups: GoldenGroup[];
  float32: GoldenRun;
  float64: GoldenRun;
}

export interface Goldens {
  torch: string;
  cpuCapability: string;
  steps: number[];
  cases: GoldenCase[];
}

export function loadGoldens(): Goldens {
  return JSON.parse(readFileSync(new URL("./goldens.json", import.meta.url), "utf8")) as Goldens;
}

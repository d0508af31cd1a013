import { LEARNING_RATE, WEIGHT_DECAY } from "../shared/task.js";
import type { Width } from "../shared/width.js";

/** What can be changed on the page during training. */
export interface Settings {
  readonly lr: number;
  readonly weightDecay: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly threads: number;
  /** Of a run that is one more AdamW; with float32 there is none. */
  readonly width: Width;
}

/** The widths to choose from. */
export const CHOICES = [
  "float32",
  "bfloat16 moments",
  "bfloat16 moments and gradients",
] as const satisfies readonly Width[];

/** The settings that are numbers. */
export type NumberKey = Exclude<keyof Settings, "width">;

export const DEFAULTS: Settings = {
  lr: LEARNING_RATE,
  weightDecay: WEIGHT_DECAY,
  beta1: 0.9,
  beta2: 0.999,
  threads: 1,
  width: "float32",
};

/** A setting that was changed in the middle of a run, from the step after `step` on. */
export interface Change {
  readonly step: number;
  readonly key: NumberKey;
  readonly from: number;
  readonly to: number;
}

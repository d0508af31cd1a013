import { LEARNING_RATE, WEIGHT_DECAY } from "../shared/task.js";

/** What can be changed on the page during training. */
export interface Settings {
  readonly lr: number;
  readonly weightDecay: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly threads: number;
}

export const DEFAULTS: Settings = {
  lr: LEARNING_RATE,
  weightDecay: WEIGHT_DECAY,
  beta1: 0.9,
  beta2: 0.999,
  threads: 1,
};

/** A setting that was changed in the middle of a run, from the step after `step` on. */
export interface Change {
  readonly step: number;
  readonly key: keyof Settings;
  readonly from: number;
  readonly to: number;
}

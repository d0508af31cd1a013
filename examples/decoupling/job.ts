import type { Evaluation } from "./network.js";
import type { Split } from "./task.js";
import type { TaskName } from "./tasks.js";
import type { Choice } from "./training.js";

/** A run, and which examples it is judged by. */
export interface Job extends Choice {
  readonly task: TaskName;
  readonly heldOut: Exclude<keyof Split, "train">;
}

export interface Outcome {
  readonly train: Evaluation;
  readonly heldOut: Evaluation;
}

/** Another one for every other job; a file may be called so. */
export function nameOf({ task, rule, lr, weightDecay, seed, steps, heldOut }: Job): string {
  const parts = [task, rule, `lr ${lr}`, `decay ${weightDecay}`, `seed ${seed}`, `${steps} steps`, heldOut];
  return parts.join(" ").replace(/[^\w.-]+/g, "-");
}

import type { Split } from "../shared/data.js";
import { type Evaluation, type Rule, Run } from "../shared/run.js";
import { EPOCHS, LEARNING_RATE } from "../shared/task.js";
import { WIDTHS, type Width } from "../shared/width.js";

/** A run after its last step. */
export interface TrainedRun extends Pick<Run, "rule" | "parameters" | "losses" | "evaluations"> {
  readonly width: Width;
  readonly seconds: number;
  /** The part of `seconds` spent in `optimizer.step()`. */
  readonly stepSeconds: number;
}

export interface Progress {
  readonly step: number;
  readonly steps: number;
  readonly loss: number;
  readonly evaluation: Evaluation;
}

/** @param report is called after every batch */
export async function train(
  rule: Rule,
  width: Width,
  split: Split,
  seed: number,
  report: (progress: Progress) => void,
): Promise<TrainedRun> {
  const start = performance.now();
  const run = await Run.create(rule, split, { epochs: EPOCHS, seed, lr: LEARNING_RATE, ...WIDTHS[width] });
  while (!run.finished) {
    run.step();
    report({
      step: run.losses.length,
      steps: run.steps,
      loss: run.losses.at(-1)!,
      evaluation: run.evaluations.at(-1)!,
    });
  }
  const seconds = (performance.now() - start) / 1000;
  run.dispose();
  const { parameters, losses, evaluations, stepMilliseconds } = run;
  return { rule, width, parameters, losses, evaluations, seconds, stepSeconds: stepMilliseconds / 1000 };
}

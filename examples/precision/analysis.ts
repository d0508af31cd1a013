import { mean, sampleStandardDeviation } from "simple-statistics";
import { BASELINE, type ContenderName } from "./contenders.js";
import type { Job, TaskName } from "./study.js";
import type { Losses } from "./task.js";
import type { Outcome } from "./training.js";

export interface Run {
  readonly job: Job;
  readonly outcome: Outcome;
}

/** A mean over the seeds, and their standard deviation as a sample. */
export interface Summary {
  readonly mean: number;
  readonly deviation: number;
}

const summary = (values: number[]): Summary => ({ mean: mean(values), deviation: sampleStandardDeviation(values) });

const of = (runs: readonly Run[], task: TaskName, contender: ContenderName) =>
  runs.filter(({ job }) => job.task === task && job.contender === contender);

/** Losses after the last step. */
export function final(runs: readonly Run[], task: TaskName, contender: ContenderName, loss: keyof Losses): Summary {
  return summary(of(runs, task, contender).map(({ outcome }) => outcome.at(-1)![loss]));
}

/** A contender's final loss less float32's, seed by seed. */
export function difference(
  runs: readonly Run[],
  task: TaskName,
  contender: ContenderName,
  loss: keyof Losses,
): Summary {
  const baseline = of(runs, task, BASELINE);
  return summary(
    of(runs, task, contender).map(({ outcome, job }) => {
      const other = baseline.find(({ job: { seed } }) => seed === job.seed)!;
      return outcome.at(-1)![loss] - other.outcome.at(-1)![loss];
    }),
  );
}

/** Mean training loss over the seeds at each step where it was measured. */
export function curve(runs: readonly Run[], task: TaskName, contender: ContenderName) {
  const own = of(runs, task, contender).map(({ outcome }) => outcome);
  return own[0]!.map(({ step }, i) => ({ contender, step, loss: mean(own.map((outcome) => outcome[i]!.train)) }));
}

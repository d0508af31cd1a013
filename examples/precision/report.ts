import { table } from "../shared/table.js";
import { difference, final, type Run, type Summary } from "./analysis.js";
import { BASELINE, CONTENDER_NAMES } from "./contenders.js";
import { DEVIATIONS, DRAWN, type Moment, reached } from "./standstill.js";
import { TASK_NAMES, type TaskName } from "./study.js";
import type { Losses } from "./task.js";

const LOSSES = { train: "training", heldOut: "held out" } as const satisfies Record<keyof Losses, string>;

const rows = (cells: (task: TaskName, loss: keyof Losses) => string[]) =>
  TASK_NAMES.flatMap((task) =>
    (Object.keys(LOSSES) as (keyof Losses)[]).map((loss) => [`${task}, ${LOSSES[loss]}`, ...cells(task, loss)]),
  );
const show = ({ mean, deviation }: Summary) => `${signed(mean)} ± ${deviation.toFixed(5)}`;
const signed = (value: number) => value.toFixed(5).replace("-", "−");

/** Losses after the last step: mean and standard deviation over the seeds. */
export function lossTable(runs: readonly Run[]): string {
  return table(
    ["loss", ...CONTENDER_NAMES],
    rows((task, loss) => CONTENDER_NAMES.map((contender) => show(final(runs, task, contender, loss)))),
  );
}

/** The same less float32's, seed by seed. */
export function differenceTable(runs: readonly Run[]): string {
  const others = CONTENDER_NAMES.filter((name) => name !== BASELINE);
  return table(
    ["loss less float32's", ...others],
    rows((task, loss) => others.map((contender) => show(difference(runs, task, contender, loss)))),
  );
}

/** What v came to. */
export function momentTable(moments: readonly Moment[]): string {
  return table(
    ["mean of v", ...DEVIATIONS.map((deviation) => `gradients of variance ${Number((deviation ** 2).toFixed(4))}`)],
    DRAWN.map((contender) => [contender, ...reached(moments, contender).map((v) => v.toPrecision(3))]),
  );
}

import { linear } from "fused-adam/schedules";
import { CONTENDERS } from "./contenders.js";
import { type Job, TASKS, type TaskName } from "./study.js";
import type { Losses, Task } from "./task.js";

/** Losses before the first step and after every tenth of all steps. */
export type Outcome = readonly ({ readonly step: number } & Losses)[];

const POINTS = 10;

const prepared: { [name in TaskName]?: Task } = {};

/** A run from its start to its end. */
export async function train({ task: name, contender, seed, share }: Job): Promise<Outcome> {
  prepared[name] ??= TASKS[name]();
  const task = prepared[name];
  const { initial, backward, evaluate } = task.start(seed);
  const steps = Math.round(task.steps * share);
  const learner = await CONTENDERS[contender](initial, { lr: linear({ from: task.lr, to: 0, steps }) });
  const { params, grads } = learner;
  const outcome = [{ step: 0, ...evaluate(params) }];
  for (let point = 1; point <= POINTS; point++) {
    const end = Math.round((steps * point) / POINTS);
    for (let step = outcome.at(-1)!.step; step < end; step++) {
      backward(params, grads);
      learner.step();
    }
    outcome.push({ step: end, ...evaluate(params) });
  }
  learner.dispose();
  return outcome;
}

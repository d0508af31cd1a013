import { BASELINE, CONTENDER_NAMES, CONTROL, type ContenderName } from "./contenders.js";
import { digits } from "./digits.js";
import type { Task } from "./task.js";
import { words } from "./words.js";

export const TASKS = { digits, words } as const satisfies Record<string, () => Task>;
export type TaskName = keyof typeof TASKS;
export const TASK_NAMES = Object.keys(TASKS) as TaskName[];

/** What is run. */
export interface Study {
  readonly seeds: readonly number[];
  /** Of the steps of each task. */
  readonly share: number;
}

export const FULL: Study = { seeds: [1, 2, 3, 4, 5], share: 1 };
/** To see how it goes, not to conclude from. */
export const QUICK: Study = { seeds: [1, 2], share: 0.1 };

/** One training run. A task's runs with one seed differ in nothing but the contender. */
export interface Job {
  readonly task: TaskName;
  readonly contender: ContenderName;
  readonly seed: number;
  readonly share: number;
}

export function jobsOf({ seeds, share }: Study): Job[] {
  return TASK_NAMES.flatMap((task) =>
    seeds.flatMap((seed) => CONTENDER_NAMES.map((contender) => ({ task, contender, seed, share }))),
  );
}

/** Those that are to learn as float32 does. */
export const EQUALS = CONTENDER_NAMES.filter((name) => name !== BASELINE && name !== CONTROL);

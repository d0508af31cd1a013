import type { Job } from "./job.js";
import type { RuleName } from "./rules.js";
import type { TaskName } from "./tasks.js";

/** What is compared: both rules, over a grid of hyper-parameters, and the best of each once more with seeds of their own. */
export interface Study {
  readonly task: TaskName;
  readonly steps: number;
  readonly rates: readonly number[];
  readonly decays: Readonly<Record<RuleName, readonly number[]>>;
  /** Every cell of the grid is trained with each of these. */
  readonly seeds: readonly number[];
  /** The best cell of each rule is trained with each of these. */
  readonly freshSeeds: readonly number[];
}

const count = (from: number, length: number) => Array.from({ length }, (_, i) => from + i);
/** 1, 2, 5, 10, … times `first`, which is itself 1, 2 or 5 times a power of ten. */
const series = (first: number, length: number) => {
  const digits = [1, 2, 5];
  const power = Math.floor(Math.log10(first) + 1e-9);
  const start = digits.indexOf(Math.round(first / 10 ** power));
  return Array.from({ length }, (_, i) => Number(`${digits[(start + i) % 3]}e${power + Math.floor((start + i) / 3)}`));
};

const spam = {
  // 60 epochs of 15 batches.
  steps: 900,
  rates: [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1],
  decays: { AdamW: [0.03, 0.1, 0.3, 1, 2, 4], "Adam + L2": [1e-5, 1e-4, 1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1] },
  seeds: count(1, 10),
  freshSeeds: count(101, 20),
};

export const STUDIES: readonly Study[] = [
  {
    task: "addition",
    steps: 5000,
    rates: [0.003, 0.009, 0.025, 0.07, 0.2],
    // Ten each over three powers of ten, so that the two maps have one scale.
    decays: { AdamW: series(0.005, 10), "Adam + L2": series(1e-6, 10) },
    seeds: count(1, 4),
    freshSeeds: count(101, 10),
  },
  { task: "spam, counts", ...spam },
  { task: "spam, words present", ...spam },
  {
    task: "digits",
    // 20 epochs of 31 batches.
    steps: 620,
    rates: [0.001, 0.003, 0.01, 0.03],
    decays: { AdamW: [0.03, 0.1, 0.3, 1, 3], "Adam + L2": [1e-5, 1e-4, 1e-3, 3e-3, 1e-2] },
    seeds: count(1, 3),
    freshSeeds: count(101, 10),
  },
];

/** Every second rate and decay, one seed, two fresh ones: to see how it goes, not to conclude from. */
export function reduced(study: Study): Study {
  const everySecond = <T>(values: readonly T[], from: number) =>
    values.filter((_, i) => i >= from && (i - from) % 2 === 0);
  const { rates, decays } = study;
  return {
    ...study,
    rates: everySecond(rates, 0),
    decays: { AdamW: everySecond(decays.AdamW, 1), "Adam + L2": everySecond(decays["Adam + L2"], 1) },
    seeds: study.seeds.slice(0, 1),
    freshSeeds: study.freshSeeds.slice(0, 2),
  };
}

/** A cell of a study's grid. */
export type Cell = Pick<Job, "rule" | "lr" | "weightDecay">;

export function cellsOf({ rates, decays }: Study, rule: RuleName): Cell[] {
  return rates.flatMap((lr) => decays[rule].map((weightDecay) => ({ rule, lr, weightDecay })));
}

/** The runs of a cell of the grid. */
export function searchJobs({ task, steps, seeds }: Study, cell: Cell): Job[] {
  return seeds.map((seed) => ({ task, ...cell, seed, steps, heldOut: "validation" }));
}

/** The runs of a cell that was chosen. */
export function freshJobs({ task, steps, freshSeeds }: Study, { rule, lr, weightDecay }: Cell): Job[] {
  return freshSeeds.map((seed) => ({ task, rule, lr, weightDecay, seed, steps, heldOut: "test" }));
}

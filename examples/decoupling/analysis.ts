import { mean } from "simple-statistics";
import type { Job, Outcome } from "./job.js";
import type { Evaluation } from "./network.js";
import { RULE_NAMES, type RuleName } from "./rules.js";
import { leastSquares, leaveOneOut, type Summary, summary, top } from "./statistics.js";
import { type Cell, cellsOf, freshJobs, type Study, searchJobs } from "./study.js";

/** What came of a run. */
export type Outcomes = (job: Job) => Outcome;

/** What cells are compared by, and which of two values is the better one. */
const BETTER = {
  loss: (a: number, b: number) => a < b,
  accuracy: (a: number, b: number) => a > b,
};

export type Criterion = keyof typeof BETTER;

export const CRITERIA = Object.keys(BETTER) as Criterion[];

/** Over the examples held out, the mean of a cell's runs. */
export function resultOf(study: Study, outcomes: Outcomes, cell: Cell): Evaluation {
  const runs = searchJobs(study, cell).map((job) => outcomes(job).heldOut);
  return { loss: mean(runs.map(({ loss }) => loss)), accuracy: mean(runs.map(({ accuracy }) => accuracy)) };
}

/** A rule's best decay at each rate, by held-out accuracy, read off between the decays that were tried. */
export function bestDecays(study: Study, outcomes: Outcomes, rule: RuleName): { lr: number; weightDecay: number }[] {
  return study.rates.map((lr) => {
    const points = study.decays[rule].map((weightDecay) => ({
      x: Math.log10(weightDecay),
      y: resultOf(study, outcomes, { rule, lr, weightDecay }).accuracy,
    }));
    return { lr, weightDecay: 10 ** top(points) };
  });
}

/** By how many powers of ten the best decay changes when the rate is ten times as large. */
export interface Slope {
  readonly slope: number;
  /** Standard error, by leaving out one seed after the other. */
  readonly error: number;
  /** The best decay that the line through all rates has at one of them. */
  at(lr: number): number;
}

export function slopeOf(study: Study, outcomes: Outcomes, rule: RuleName): Slope {
  const lineOf = (seeds: readonly number[]) =>
    leastSquares(
      bestDecays({ ...study, seeds }, outcomes, rule).map(({ lr, weightDecay }) => ({
        x: Math.log10(lr),
        y: Math.log10(weightDecay),
      })),
    );
  const { slope, at } = lineOf(study.seeds);
  return {
    slope,
    error: leaveOneOut(study.seeds, (seeds) => lineOf(seeds).slope),
    at: (lr) => 10 ** at(Math.log10(lr)),
  };
}

/** The decay that is best for all rates together, and the accuracy it has, as a mean over them. */
export function oneForAll(study: Study, outcomes: Outcomes, rule: RuleName): { weightDecay: number; accuracy: number } {
  const columns = study.decays[rule].map((weightDecay) => ({
    weightDecay,
    accuracy: mean(study.rates.map((lr) => resultOf(study, outcomes, { rule, lr, weightDecay }).accuracy)),
  }));
  return columns.reduce((best, column) => (column.accuracy > best.accuracy ? column : best));
}

/** What one would choose: the cell with the best mean over the examples held out. */
export interface Chosen extends Cell {
  /** Whether the best one may lie outside of what was tried. */
  readonly atEdge: boolean;
}

export function choose(study: Study, outcomes: Outcomes, rule: RuleName, by: Criterion): Chosen {
  const cells = cellsOf(study, rule).map((cell) => ({ cell, value: resultOf(study, outcomes, cell)[by] }));
  const { cell } = cells.reduce((best, next) => (BETTER[by](next.value, best.value) ? next : best));
  const isEnd = (values: readonly number[], value: number) => value === values[0] || value === values.at(-1);
  return { ...cell, atEdge: isEnd(study.rates, cell.lr) || isEnd(study.decays[rule], cell.weightDecay) };
}

/** How the cells that were chosen did with seeds they were not chosen with, on examples they were not chosen by. */
export interface Comparison {
  readonly rules: Readonly<Record<RuleName, Chosen & { readonly result: Summary }>>;
  /** AdamW's less the other's, seed by seed: the same split, starting weights and batches. */
  readonly difference: Summary;
  /** With how many seeds AdamW was the better one. */
  readonly wins: number;
}

export function compare(study: Study, outcomes: Outcomes, by: Criterion): Comparison {
  const rows = RULE_NAMES.map((rule) => {
    const chosen = choose(study, outcomes, rule, by);
    const values = freshJobs(study, chosen).map((job) => outcomes(job).heldOut[by]);
    return [rule, { ...chosen, values, result: summary(values) }] as const;
  });
  const rules = Object.fromEntries(rows) as Record<RuleName, (typeof rows)[number][1]>;
  const [ours, theirs] = [rules.AdamW.values, rules["Adam + L2"].values];
  return {
    rules,
    difference: summary(ours.map((value, i) => value - theirs[i]!)),
    wins: ours.filter((value, i) => BETTER[by](value, theirs[i]!)).length,
  };
}

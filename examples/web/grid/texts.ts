import { bestDecays, oneForAll, slopeOf } from "../../decoupling/analysis.js";
import { change } from "../../decoupling/report.js";
import { RULE_NAMES } from "../../decoupling/rules.js";
import type { Cell } from "../../decoupling/study.js";
import { count, percent, short } from "../format.js";
import { CELLS, GRID, type Runs } from "./runs.js";

export type State = "idle" | "running" | "paused" | "finished";

/** How far it is. @param workers 0 while there are none */
export function progressText(runs: Runs, seed: number, workers: number): string {
  if (seed === 0)
    return `Not started. ${CELLS.length} runs of ${count(GRID.steps)} steps, half a second to two seconds each.`;
  const done = runs.done - (seed - 1) * CELLS.length;
  const who = workers === 0 ? "" : workers === 1 ? ", by one worker" : `, by ${workers} workers`;
  return `Seed ${seed}: ${done} of ${CELLS.length} runs${who}`;
}

/** A cell, and what came of it so far. */
export function cellText(runs: Runs, { rule, lr, weightDecay }: Cell): string {
  const cell = { rule, lr, weightDecay };
  const seeds = runs.seeds(cell).length;
  const accuracy = runs.accuracy(cell);
  const name = `${rule}, α = ${short(lr)}, λ = ${short(weightDecay)}`;
  if (accuracy === undefined) return `${name}: not trained yet`;
  if (seeds > 0) return `${name}: ${percent(accuracy)} after ${count(GRID.steps)} steps, ${seedsText(seeds)}`;
  return `${name}: ${percent(accuracy)} after ${count(runs.curve(cell).at(-1)!.step)} steps, under way`;
}

const seedsText = (seeds: number) => (seeds === 1 ? "one seed" : `${seeds} seeds`);

/** What the whole grid shows, once there is a whole one. */
export function claimText(runs: Runs): string {
  const study = runs.complete();
  if (study === undefined) return "";
  const sentences = RULE_NAMES.map((rule) => {
    const moves = change(slopeOf(study, runs.outcomes, rule));
    const { weightDecay, accuracy } = oneForAll(study, runs.outcomes, rule);
    return `${rule}: with ten times the rate, the best decay is ${moves}; with λ = ${short(weightDecay)} for all rates, accuracy is ${percent(accuracy)}.`;
  });
  return `From ${seedsText(study.seeds.length)}. ${sentences.join(" ")}`;
}

/** Rows of the table of best decays: a row for each rate, a column for each rule. */
export function bestRows(runs: Runs): string[][] {
  const study = runs.complete();
  if (study === undefined) return [];
  const columns = RULE_NAMES.map((rule) => bestDecays(study, runs.outcomes, rule));
  return study.rates
    .map((lr, i) => [short(lr), ...columns.map((column) => short(column[i]!.weightDecay, 2))])
    .toReversed();
}

/** A line per point, with all digits. */
export function toCsv(runs: Runs): string {
  const lines = CELLS.flatMap((cell) =>
    runs
      .curves(cell)
      .flatMap(({ seed, points }) =>
        points.map(({ step, accuracy, loss }) => [cell.rule, cell.lr, cell.weightDecay, seed, step, accuracy, loss]),
      ),
  );
  const head = ["rule", "learning rate", "decay", "seed", "step", "held-out accuracy", "held-out loss"];
  return [head, ...lines].map((line) => `${line.join(",")}\n`).join("");
}

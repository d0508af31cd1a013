import { type Outcomes, resultOf } from "../../decoupling/analysis.js";
import { RULE_NAMES } from "../../decoupling/rules.js";
import { type Cell, cellsOf, STUDIES, type Study } from "../../decoupling/study.js";
import type { Choice } from "../../decoupling/training.js";
import type { Point } from "./protocol.js";

/** The grid of `npm run demo:decoupling`. */
export const GRID: Study = STUDIES.find(({ task }) => task === "addition")!;

/** Of both rules in turn, so that both maps fill at one pace, from large rates and decays down. */
export const CELLS: readonly Cell[] = (() => {
  const [ours, theirs] = RULE_NAMES.map((rule) => cellsOf(GRID, rule).toReversed());
  return ours!.flatMap((cell, i) => [cell, theirs![i]!]);
})();

export const sameCell = (a: Cell, b: Cell) => a.rule === b.rule && a.lr === b.lr && a.weightDecay === b.weightDecay;

const keyOf = ({ rule, lr, weightDecay }: Cell) => `${rule} ${lr} ${weightDecay}`;

/** The curves of all runs, seed by seed. */
export class Runs {
  readonly #curves = new Map<string, Map<number, Point[]>>(CELLS.map((cell) => [keyOf(cell), new Map()]));

  /** A run that begins anew begins with step 0. */
  add({ seed, ...cell }: Choice, point: Point): void {
    const curves = this.#curves.get(keyOf(cell))!;
    if (point.step === 0) curves.set(seed, [point]);
    else curves.get(seed)!.push(point);
  }

  dropUnfinished(): void {
    for (const curves of this.#curves.values()) {
      for (const [seed, points] of curves) if (points.at(-1)!.step < GRID.steps) curves.delete(seed);
    }
  }

  /** Of a cell, one for each seed, in the order of the seeds. The last one may not have come to its end. */
  curves(cell: Cell): readonly { readonly seed: number; readonly points: readonly Point[] }[] {
    const curves = [...this.#curves.get(keyOf(cell))!].map(([seed, points]) => ({ seed, points }));
    return curves.sort((a, b) => a.seed - b.seed);
  }

  /** A cell's curve: at each step the mean over the seeds that got there. */
  curve(cell: Cell): Point[] {
    const curves = this.curves(cell).map(({ points }) => points);
    const longest = Math.max(0, ...curves.map(({ length }) => length));
    return Array.from({ length: longest }, (_, i) => {
      const points = curves.flatMap((curve) => curve[i] ?? []);
      const mean = (value: (point: Point) => number) =>
        points.reduce((sum, point) => sum + value(point), 0) / points.length;
      return { step: points[0]!.step, loss: mean(({ loss }) => loss), accuracy: mean(({ accuracy }) => accuracy) };
    });
  }

  /** The seeds that a cell was trained with to the end. */
  seeds(cell: Cell): number[] {
    return this.curves(cell).flatMap(({ seed, points }) => (points.at(-1)!.step === GRID.steps ? [seed] : []));
  }

  /** Whether a run of the cell is under way. */
  isRunning(cell: Cell): boolean {
    return this.curves(cell).length > this.seeds(cell).length;
  }

  /** Mean held-out accuracy at the end, over the seeds so far; where there is none yet, what its first run has now. */
  accuracy(cell: Cell): number | undefined {
    const seeds = this.seeds(cell);
    if (seeds.length > 0) return resultOf({ ...GRID, seeds }, this.outcomes, cell).accuracy;
    return this.curve(cell).at(-1)?.accuracy;
  }

  /** The grid, with the seeds that every cell was trained with. Undefined before there is one. */
  complete(): Study | undefined {
    const seeds = CELLS.map((cell) => this.seeds(cell)).reduce((all, some) =>
      all.filter((seed) => some.includes(seed)),
    );
    return seeds.length === 0 ? undefined : { ...GRID, seeds };
  }

  readonly outcomes: Outcomes = ({ seed, ...cell }) => {
    const evaluation = this.curves(cell)
      .find((curve) => curve.seed === seed)!
      .points.at(-1)!;
    return { train: evaluation, heldOut: evaluation };
  };

  /** Runs that came to their end. */
  get done(): number {
    return CELLS.reduce((sum, cell) => sum + this.seeds(cell).length, 0);
  }
}

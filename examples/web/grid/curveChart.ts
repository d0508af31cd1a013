import type uPlot from "uplot";
import type { RuleName } from "../../decoupling/rules.js";
import { count } from "../format.js";
import { axis, colour, Plot } from "../plot.js";
import { STYLES } from "../styles.js";
import type { Point } from "./protocol.js";
import { GRID } from "./runs.js";

const STEP_TICKS = [0, 1000, 2000, 3000, 4000, 5000];
const SHARES = [0, 0.2, 0.4, 0.6, 0.8, 1];
const EMPTY = [[0], [null]] as uPlot.AlignedData;
const RULE_STYLES: Readonly<Record<RuleName, (typeof STYLES)[number]>> = { AdamW: STYLES[0], "Adam + L2": STYLES[1] };

/** Held-out accuracy of a cell, step by step. */
export class CurveChart {
  readonly #plot: Plot;
  #rule: RuleName = "AdamW";

  constructor(host: HTMLElement) {
    this.#plot = new Plot(
      host,
      {
        scales: { x: { time: false, range: [0, GRID.steps] }, y: { range: [0, 1] } },
        axes: [
          axis("step", STEP_TICKS, count, 32),
          axis("held-out accuracy, %", SHARES, (share) => String(Math.round(100 * share)), 44),
        ],
        series: [{}, { stroke: () => colour(RULE_STYLES[this.#rule].colour), width: 2, points: { show: false } }],
      },
      EMPTY,
    );
  }

  load(): void {
    this.#plot.load();
  }

  /** @param final whether it must be drawn now, because it may be the last */
  show(rule: RuleName, points: readonly Point[], final: boolean): void {
    this.#rule = rule;
    const data = [points.map(({ step }) => step), points.map(({ accuracy }) => accuracy)];
    this.#plot.show((points.length === 0 ? EMPTY : data) as uPlot.AlignedData, final);
  }
}

import type uPlot from "uplot";
import type { Evaluation } from "../shared/run.js";
import { count } from "./format.js";
import { axis, colour, Plot } from "./plot.js";
import type { Change } from "./settings.js";
import { STYLES } from "./styles.js";

export interface Curves {
  /** Of the runs. */
  readonly labels: readonly string[];
  /** Per run: the smoothed training loss before each step. */
  readonly losses: readonly number[][];
  readonly evaluations: readonly (readonly Evaluation[])[];
  readonly changes: readonly Change[];
}

const STEP_TICKS = [0, 250, 500, 750, 1000];
const LOSS_TICKS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 100, 1000];
/** Steps from one drawn point to the next. */
const EVERY = 5;
const USUAL_LOSS = [0.04, 3] as const;

export class LossChart {
  readonly #plot: Plot;
  #changes: readonly Change[] = [];
  #steps = 1000;

  constructor(host: HTMLElement) {
    const lines = STYLES.map(
      (style): uPlot.Series => ({
        stroke: () => colour(style.colour),
        width: 2,
        dash: [...style.dash],
        points: { show: false },
      }),
    );
    const circles = STYLES.map(
      (style): uPlot.Series => ({
        stroke: () => colour(style.colour),
        paths: () => null,
        points: { show: true, size: style.circle, width: 1.5, fill: () => colour("surface") },
      }),
    );
    this.#plot = new Plot(
      host,
      {
        scales: {
          x: { time: false, range: () => [0, this.#steps] },
          y: {
            distr: 3,
            range: (_plot, low, high) => [
              Math.min(USUAL_LOSS[0], low > 0 ? low / 1.2 : USUAL_LOSS[0]),
              Math.max(USUAL_LOSS[1], high * 1.2 || 0),
            ],
          },
        },
        axes: [axis("step", STEP_TICKS, count, 32), axis("loss", LOSS_TICKS, String, 44)],
        series: [{}, ...lines, ...circles],
        hooks: { drawClear: [(plot) => this.#markChanges(plot)] },
      },
      [[0], ...STYLES.flatMap(() => [[null], [null]])] as uPlot.AlignedData,
    );
  }

  load(): void {
    this.#plot.load();
  }

  show({ losses, evaluations, changes }: Curves, stepsPerEpoch: number, steps: number, final: boolean): void {
    this.#changes = changes;
    this.#steps = steps;
    const last = losses[0]!.length;
    // Points closer together than pixels are left out. Ends of epochs and the newest step are always drawn.
    const stride = stepsPerEpoch % EVERY === 0 ? EVERY : 1;
    const drawn = Array.from({ length: last + 1 }, (_, step) => step).filter((s) => s % stride === 0 || s === last);
    // A run that is not there has no points.
    const lines = STYLES.map((_, i) => drawn.map((step) => drawable(losses[i]?.[step - 1])));
    const circles = STYLES.map((_, i) => {
      const points = new Map(evaluations[i]?.map(({ epoch, loss }) => [epoch * stepsPerEpoch, loss]));
      return drawn.map((step) => drawable(points.get(step)));
    });
    this.#plot.show([drawn, ...lines, ...circles] as uPlot.AlignedData, final);
  }

  /** A line where a setting was changed. */
  #markChanges({ ctx, bbox, valToPos }: uPlot): void {
    ctx.save();
    ctx.strokeStyle = colour("muted");
    ctx.setLineDash([2 * devicePixelRatio, 4 * devicePixelRatio]);
    for (const { step } of this.#changes) {
      const x = Math.round(valToPos(step, "x", true));
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
    }
    ctx.restore();
  }
}

/** A logarithmic scale shows what is positive and finite. */
function drawable(value: number | undefined): number | null {
  return value !== undefined && value > 0 && Number.isFinite(value) ? value : null;
}

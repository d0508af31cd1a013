import type uPlot from "uplot";
import type { DecayPictures } from "./decayMeter.js";
import { count } from "./format.js";
import { axis, colour, Plot } from "./plot.js";
import { STYLES } from "./styles.js";

const POWERS = Array.from({ length: 24 }, (_, i) => Number(`1e${i - 9}`));
const GRADIENTS = Array.from({ length: 41 }, (_, i) => Number((i * 0.005).toFixed(3)));

/** Side of a dot. */
const DOT = 2;

const EMPTY: uPlot.AlignedData = [[0], [null], [null]];

/** Decay that weights received, as a multiple of the decay asked for, by their RMS gradient. */
export class DecayChart {
  readonly #plot: Plot;
  #runs: DecayPictures["runs"] = [];

  constructor(host: HTMLElement) {
    const medians = [0, 1].map(
      (run): uPlot.Series => ({
        stroke: () => colour(STYLES[run]!.colour),
        width: 2.5,
        spanGaps: true,
        points: { show: true, size: 7, width: 1.5, fill: () => colour("surface") },
      }),
    );
    this.#plot = new Plot(
      host,
      {
        scales: {
          x: { time: false, range: () => [0, this.#largest()] },
          y: { distr: 3, range: (_plot, low, high) => [Math.min(0.3, low / 3 || 0.3), Math.max(2000, high * 4 || 0)] },
        },
        axes: [
          axis("RMS gradient of the weight", GRADIENTS, String, 32),
          axis("decay received ÷ asked", POWERS, count, 56),
        ],
        series: [{}, ...medians],
        hooks: { drawAxes: [(plot) => this.#drawDots(plot)] },
      },
      EMPTY,
    );
  }

  load(): void {
    this.#plot.load();
  }

  show(pictures: DecayPictures | undefined, final: boolean): void {
    this.#runs = pictures?.runs ?? [];
    const points = this.#runs.flatMap(({ bins }, run) =>
      bins.map(({ middle, median }) => ({ run, x: middle, y: drawable(median) })),
    );
    points.sort((a, b) => a.x - b.x);
    const medians = [0, 1].map((run) => points.map((point) => (point.run === run ? point.y : null)));
    this.#plot.show(points.length > 0 ? [points.map(({ x }) => x), ...medians] : EMPTY, final);
  }

  #largest(): number {
    return 1.05 * Math.max(0, ...this.#runs.map(({ dots }) => dots.at(-1)?.rms ?? 0)) || 0.02;
  }

  /** As squares, which take a tenth of the time of circles. */
  #drawDots({ ctx, bbox, valToPos }: uPlot): void {
    const side = DOT * devicePixelRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    for (const [run, { dots }] of this.#runs.entries()) {
      ctx.fillStyle = colour(`${STYLES[run]!.colour}-dots`);
      for (const { rms, multiple } of dots) {
        if (!(multiple > 0)) continue;
        ctx.fillRect(valToPos(rms, "x", true) - side / 2, valToPos(multiple, "y", true) - side / 2, side, side);
      }
    }
    ctx.restore();
  }
}

/** A logarithmic scale shows what is positive and finite. */
function drawable(value: number): number | null {
  return value > 0 && Number.isFinite(value) ? value : null;
}

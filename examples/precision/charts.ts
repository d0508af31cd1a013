import * as Plot from "@observablehq/plot";
import { COLOURS, figure, type Stroke } from "../../scripts/figure.js";
import { curve, type Run } from "./analysis.js";
import { BASELINE, CONTENDER_NAMES, CONTROL, type ContenderName } from "./contenders.js";
import { DEVIATIONS, DRAWN, type Moment, reached, STEPS_EACH } from "./standstill.js";
import { TASK_NAMES, type TaskName } from "./study.js";

/** Lines that lie on each other: the first is broad, and the others are dashed over it. */
const STROKES: Readonly<Record<ContenderName, Stroke>> = {
  [BASELINE]: { colour: COLOURS.blue, width: 5 },
  "bfloat16 moments": { colour: COLOURS.orange, dash: "7 7" },
  "bfloat16 moments and gradients": { colour: COLOURS.green, dash: "3 6" },
  [CONTROL]: { colour: COLOURS.purple },
};

const SIZE = { width: 640, height: 360, marginLeft: 64, marginRight: 24, marginTop: 128, marginBottom: 48 };
const TITLES: Readonly<Record<TaskName, string>> = {
  digits: "Digits: the training loss, by how moments are stored",
  words: "A transformer: the training loss, by how moments are stored",
};

interface Point {
  readonly contender: ContenderName;
  readonly step: number;
}

/** Every picture, as file name and SVG. */
export function charts(
  runs: readonly Run[],
  moments: readonly Moment[],
): { readonly file: string; readonly svg: string }[] {
  return [{ file: "standstill.svg", svg: momentChart(moments) }, ...TASK_NAMES.map((task) => lossChart(runs, task))];
}

function lossChart(runs: readonly Run[], task: TaskName) {
  const points = CONTENDER_NAMES.flatMap((contender) => curve(runs, task, contender)).filter(({ step }) => step > 0);
  const seeds = new Set(runs.map(({ job }) => job.seed)).size;
  const last = (name: ContenderName) => points.findLast(({ contender }) => contender === name)!.loss.toPrecision(3);
  const words = {
    title: TITLES[task],
    subtitle: `cross entropy in nats, mean of ${seeds} seeds`,
    description: `Training loss after the last step. ${CONTENDER_NAMES.map((name) => `${name}: ${last(name)}`).join("; ")}.`,
  };
  return { file: `${task}.svg`, svg: lines(words, CONTENDER_NAMES, points, "loss") };
}

function momentChart(moments: readonly Moment[]): string {
  const [before, after] = DEVIATIONS.map((deviation) => Number((deviation ** 2).toFixed(4)));
  const ends = DRAWN.map(
    (name) =>
      `${name}: ${reached(moments, name)
        .map((v) => v.toPrecision(3))
        .join(", then ")}`,
  );
  const words = {
    title: "Rounded to nearest, v stands still",
    subtitle: `Mean of expAvgSq, β2 = 0.999. Variance of the gradients: ${before}, from step ${STEPS_EACH.toLocaleString("en")} on ${after}`,
    description: `Mean of v at the end of each part. ${ends.join("; ")}.`,
  };
  return lines(words, DRAWN, moments, "mean");
}

/** On a logarithmic scale, with a legend above. */
function lines<P extends Point>(
  words: Parameters<typeof figure>[0],
  names: readonly ContenderName[],
  points: readonly P[],
  y: keyof P & string,
): string {
  const legend = names.map((name, i) => ({
    name,
    dx: (i % 2) * 290,
    dy: 74 - SIZE.marginTop + 22 * Math.floor(i / 2),
  }));
  return figure(words, {
    ...SIZE,
    x: { label: "step", labelAnchor: "center", labelArrow: false, nice: true },
    y: { type: "log", grid: true, label: null, tickFormat: (value: number) => String(value), ticks: 5 },
    marks: [
      // What differs is drawn first, so that it hides nothing.
      ...names
        .toSorted((a, b) => Number(b === CONTROL) - Number(a === CONTROL))
        .map((name) => {
          const { colour, dash = "none", width = 2 } = STROKES[name];
          const own = points.filter(({ contender }) => contender === name);
          return Plot.line(own, { x: "step", y, stroke: colour, strokeWidth: width, strokeDasharray: dash });
        }),
      ...legend.map(({ name, dx, dy }) =>
        Plot.text([`━ ${name}`], { frameAnchor: "top-left", dx, dy, fill: STROKES[name].colour, fontWeight: 600 }),
      ),
    ],
  });
}

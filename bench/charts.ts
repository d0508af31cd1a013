import * as Plot from "@observablehq/plot";
import { COLOURS, figure, PAPER, type Stroke } from "../scripts/figure.js";
import { sizeName } from "./effort.js";
import { LOAD_STORE } from "./entrants/limits.js";
import { LOOP } from "./entrants/loop.js";
import { NATIVE, NATIVE_2 } from "./entrants/native.js";
import { FUSED, FUSED_2 } from "./entrants/package.js";
import { short } from "./measure.js";
import type { Timing } from "./report.js";

interface Chart {
  readonly file: string;
  readonly title: string;
  /** The smallest size that is drawn. */
  readonly from: number;
  readonly strokes: Readonly<Record<string, Stroke>>;
}

const { blue, orange, purple, green, grey } = COLOURS;
const DASHES = "6 3";
const DOTS = "2 3";
const fused: Chart["strokes"] = {
  [FUSED]: { colour: blue, width: 2.5 },
  [FUSED_2]: { colour: blue, width: 2.5, dash: DASHES },
};

const CHARTS: readonly Chart[] = [
  {
    file: "libraries.svg",
    title: "One AdamW step, beside other JavaScript",
    from: 0,
    strokes: {
      ...fused,
      [`${FUSED} scalar`]: { colour: blue, dash: DOTS },
      [LOOP]: { colour: grey },
      "TensorFlow.js wasm": { colour: orange },
      "TensorFlow.js cpu": { colour: orange, dash: DASHES },
      "jax-js wasm": { colour: purple },
    },
  },
  {
    file: "limits.svg",
    title: "One AdamW step, beside C++",
    from: 4096,
    strokes: {
      ...fused,
      [NATIVE]: { colour: green },
      [NATIVE_2]: { colour: green, dash: DASHES },
      [LOAD_STORE]: { colour: grey, dash: DOTS },
    },
  },
];

/** Narrow, so that text is still legible where a phone shrinks the chart to 320 pixels. */
const SIZE = { width: 540, height: 400, marginLeft: 54, marginRight: 172, marginTop: 64, marginBottom: 48 };
/** Height of a line's name. */
const LABEL = 17;

/** Every chart, as file name and SVG. */
export function charts(
  timings: readonly Timing[],
): { readonly file: string; readonly title: string; readonly svg: string }[] {
  return CHARTS.map((chart) => ({ file: chart.file, title: chart.title, svg: draw(chart, timings) }));
}

interface Label {
  readonly name: string;
  readonly x: number;
  readonly y: number;
}

function draw({ title, from, strokes }: Chart, timings: readonly Timing[]): string {
  const names = Object.keys(strokes);
  const points = timings.filter(({ contender, length }) => names.includes(contender) && length >= from);
  const sizes = [...new Set(points.map(({ length }) => length))].sort((a, b) => a - b);
  const values = points.map(({ ns }) => ns.median);
  const y = [0.8 * Math.min(...values), 1.25 * Math.max(...values)] as const;
  const marks = names.flatMap((name) => {
    const at = { x: "length", y: ({ ns }: Timing) => ns.median };
    const own = points.filter(({ contender }) => contender === name);
    const { colour, dash = "none", width = 1.8 } = strokes[name]!;
    return [
      Plot.line(own, { ...at, stroke: colour, strokeWidth: width, strokeDasharray: dash }),
      Plot.dot(own, { ...at, fill: colour, r: width + 1 }),
    ];
  });
  const labels = Plot.text(apart(ends(points, sizes), y), {
    x: "x",
    y: "y",
    text: "name",
    fill: ({ name }: Label) => strokes[name]!.colour,
    stroke: PAPER,
    strokeWidth: 4,
    textAnchor: "start",
    dx: 8,
  });
  const subtitle = "nanoseconds per parameter: lower is faster";
  return figure(
    { title, subtitle, description: describe(points, sizes) },
    {
      ...SIZE,
      x: {
        type: "log",
        base: 2,
        domain: [sizes[0]!, sizes.at(-1)!],
        // Names of sizes this close to the largest would touch its name.
        ticks: sizes.filter((size) => size === sizes.at(-1) || 8 * size <= sizes.at(-1)!),
        tickFormat: tickName,
        label: "parameters",
        labelAnchor: "center",
        labelArrow: false,
      },
      y: {
        type: "log",
        domain: y,
        grid: true,
        ticks: round(y),
        tickFormat: (value: number) => value.toLocaleString("en"),
        label: null,
      },
      marks: [...marks, labels],
    },
  );
}

/** A size in as few characters as there is room for: "64 Ki". */
function tickName(length: number): string {
  if (length >= 1 << 20) return `${length >> 20} Mi`;
  return length >= 1 << 10 ? `${length >> 10} Ki` : String(length);
}

/** The powers of ten between two values; where these are few, also 2 and 5 times them. */
function round([low, high]: readonly [number, number]): number[] {
  const steps = high / low > 1000 ? [1] : [1, 2, 5];
  const decades = Array.from({ length: 13 }, (_, i) => i - 6);
  return decades
    .flatMap((power) => steps.map((step) => step * 10 ** power))
    .filter((tick) => tick >= low && tick <= high);
}

/** Where the names go: right of the chart, or at the end of a line that ends early. */
function ends(points: readonly Timing[], sizes: readonly number[]): Label[] {
  const last = new Map(points.map((point) => [point.contender, point]));
  const late = sizes.at(-2) ?? sizes.at(-1)!;
  return [...last.values()].map(({ contender, length, ns }) => ({
    name: contender,
    x: length >= late ? sizes.at(-1)! : length,
    y: ns.median,
  }));
}

/** Moves overlapping names apart. */
function apart(labels: readonly Label[], [low, high]: readonly [number, number]): Label[] {
  const height = SIZE.height - SIZE.marginTop - SIZE.marginBottom;
  const gap = (LABEL / height) * Math.log(high / low);
  const placed = labels.map((label) => ({ ...label, at: Math.log(label.y) })).sort((a, b) => a.at - b.at);
  for (let pass = 0; pass < 100; pass++) {
    placed.forEach((upper, i) => {
      const lower = placed.slice(0, i).findLast(({ x }) => x === upper.x);
      const missing = lower === undefined ? 0 : gap - (upper.at - lower.at);
      if (missing <= 0) return;
      lower!.at -= missing / 2;
      upper.at += missing / 2;
    });
  }
  return placed.map(({ at, ...label }) => ({ ...label, y: Math.exp(at) }));
}

/** The same in words. */
function describe(points: readonly Timing[], sizes: readonly number[]): string {
  const of = (name: string) =>
    points
      .filter(({ contender }) => contender === name)
      .map(({ length, ns }) => `${short(ns.median)} at ${sizeName(length)}`);
  const names = [...new Set(points.map(({ contender }) => contender))];
  const range = `${sizeName(sizes[0]!)} to ${sizeName(sizes.at(-1)!)}`;
  return `Nanoseconds per parameter for ${range} parameters, both axes logarithmic. ${names.map((name) => `${name}: ${of(name).join(", ")}.`).join(" ")}`;
}

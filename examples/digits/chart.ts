import type { TrainedRun } from "./train.js";

interface Point {
  readonly x: number;
  readonly y: number;
}

interface Panel {
  readonly title: string;
  readonly dots: boolean;
  /** One series per run. */
  readonly series: readonly (readonly Point[])[];
}

const WIDTH = 920;
const HEIGHT = 440;
const PLOT = { width: 372, height: 280, top: 66, lefts: [72, 524] };
/** Loss is drawn on a logarithmic scale. */
const TICKS = [0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 3, 5];

/** Mid tones that stand out on white and on black, and stay apart for colour-blind readers; dashes help in print. */
const STROKES = [
  { colour: "#2a7fde", dash: "" },
  { colour: "#d9600d", dash: "" },
  { colour: "#b059c4", dash: "7 3" },
  { colour: "#7d8590", dash: "2 3" },
];

/** Training and held-out loss of every run, side by side, as a stand-alone SVG. Runs of different widths are called by these. */
export function lossChart(title: string, runs: readonly TrainedRun[]): string {
  const differ = new Set(runs.map(({ width }) => width)).size > 1;
  const labels = runs.map(({ width, rule }) => (differ ? width : rule.label));
  const epochs = runs[0]!.evaluations.at(-1)!.epoch;
  const panels: Panel[] = [
    {
      title: "Training loss (smoothed)",
      dots: false,
      series: runs.map((run) => trainingLoss(run, epochs)),
    },
    {
      title: "Held-out loss",
      dots: true,
      series: runs.map(({ evaluations }) => evaluations.map(({ epoch, loss }) => ({ x: epoch, y: loss }))),
    },
  ];

  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img" aria-label="Training and held-out loss by epoch">
<style>
  .paper { fill: #ffffff }
  text { fill: #24292f; font: 13px system-ui, "Segoe UI", Helvetica, Arial, sans-serif }
  .title { font-size: 15px; font-weight: 600 }
  .grid { stroke: #d8dee4 }
  .axis { stroke: #57606a }
  .curve { fill: none; stroke-width: 2; stroke-linejoin: round }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117 }
    text { fill: #e6edf3 }
    .grid { stroke: #30363d }
    .axis { stroke: #8b949e }
  }
</style>
<rect class="paper" width="${WIDTH}" height="${HEIGHT}"/>
<text class="title" x="${PLOT.lefts[0]}" y="26">${title}</text>
${panels.map((panel, i) => drawPanel(panel, PLOT.lefts[i]!, epochs)).join("\n")}
${labels.map((label, i) => legendEntry(label, i, runs.length)).join("\n")}
</svg>
`;
}

/** Every fifth step: neighbours are less than two pixels apart. */
function trainingLoss({ losses }: TrainedRun, epochs: number): Point[] {
  const points = losses.map((loss, i) => ({ x: ((i + 1) / losses.length) * epochs, y: loss }));
  return points.filter((_, i) => i % 5 === 0 || i === points.length - 1);
}

function drawPanel(panel: Panel, left: number, epochs: number): string {
  const losses = panel.series.flat().map((point) => point.y);
  const highest = 1.1 * Math.max(...losses);
  const lowest = TICKS.findLast((tick) => tick <= Math.min(...losses)) ?? Math.min(...losses);
  const height = (loss: number) => PLOT.height * (Math.log(highest / loss) / Math.log(highest / lowest));
  const x = (epoch: number) => ((epoch / epochs) * PLOT.width).toFixed(1);
  const y = (loss: number) => height(loss).toFixed(1);
  const bottom = PLOT.height;

  const horizontal = TICKS.filter((tick) => height(tick) >= -0.5 && height(tick) <= bottom + 0.5).map(
    (tick) =>
      `<line class="grid" x2="${PLOT.width}" y1="${y(tick)}" y2="${y(tick)}"/>` +
      `<text x="-8" y="${y(tick)}" dy="0.35em" text-anchor="end">${tick}</text>`,
  );
  const spacing = Math.ceil(epochs / 10);
  const epochTicks = Array.from({ length: Math.floor(epochs / spacing) + 1 }, (_, i) => i * spacing);
  const vertical = epochTicks.map(
    (epoch) =>
      `<line class="axis" x1="${x(epoch)}" x2="${x(epoch)}" y1="${bottom}" y2="${bottom + 5}"/>` +
      `<text x="${x(epoch)}" y="${bottom + 20}" text-anchor="middle">${epoch}</text>`,
  );
  const curves = panel.series.map((points, i) => {
    const { colour, dash } = STROKES[i % STROKES.length]!;
    const path = points.map((point) => `${x(point.x)},${y(point.y)}`).join(" ");
    const dots = panel.dots
      ? points.map((point) => `<circle cx="${x(point.x)}" cy="${y(point.y)}" r="2.5" fill="${colour}"/>`).join("")
      : "";
    return `<polyline class="curve" stroke="${colour}" stroke-dasharray="${dash}" points="${path}"/>${dots}`;
  });

  return `<g transform="translate(${left} ${PLOT.top})">
<text x="0" y="-14">${panel.title}</text>
${[...horizontal, ...vertical].join("\n")}
<path class="axis" fill="none" d="M0 0V${bottom}H${PLOT.width}"/>
<text x="${PLOT.width / 2}" y="${bottom + 40}" text-anchor="middle">epoch</text>
<text transform="translate(-48 ${bottom / 2}) rotate(-90)" text-anchor="middle">cross entropy (nats)</text>
${curves.join("\n")}
</g>`;
}

function legendEntry(label: string, i: number, count: number): string {
  const { colour, dash } = STROKES[i % STROKES.length]!;
  const left = PLOT.lefts[0]! + (i * (WIDTH - PLOT.lefts[0]!)) / count;
  return `<g transform="translate(${left.toFixed(0)} ${HEIGHT - 24})">
<line class="curve" x2="28" stroke="${colour}" stroke-dasharray="${dash}"/>
<text x="36" dy="0.35em">${label}</text>
</g>`;
}

import { RULE_NAMES, type RuleName } from "../../decoupling/rules.js";
import { type Cell, cellsOf } from "../../decoupling/study.js";
import type { Choice } from "../../decoupling/training.js";
import { clearError, downloadCsv, enable, onClick, say, showError } from "../controls.js";
import { byId, LiveTable } from "../dom.js";
import { Crew } from "./crew.js";
import { CurveChart } from "./curveChart.js";
import { HeatMap, type Look } from "./map.js";
import type { Point } from "./protocol.js";
import { CELLS, GRID, Runs, sameCell } from "./runs.js";
import { bestRows, cellText, claimText, progressText, type State, toCsv } from "./texts.js";

const BUTTON: Readonly<Record<State, string>> = {
  idle: "Start",
  running: "Pause",
  paused: "Continue",
  finished: "Another seed",
};

const HOSTS: Readonly<Record<RuleName, string>> = { AdamW: "adamw-map", "Adam + L2": "l2-map" };

let state: State = "idle";
let runs = new Runs();
let crew: Crew | undefined;
/** The seed that the cells are trained with; 0 before the first. */
let seed = 0;
let shown: Cell = CELLS[0]!;
let waiting = false;

const curve = new CurveChart(byId("curve-plot"));
const best = new LiveTable(byId("best-table"), "Best λ at each learning rate", ["α", ...RULE_NAMES]);
const maps = RULE_NAMES.map((rule) => [rule, new HeatMap(byId(HOSTS[rule]), rule, point)] as const);

/** Shows a cell's curve. */
function point(cell: Cell): void {
  shown = cell;
  showCurve(true);
}

function showCurve(final: boolean): void {
  const text = cellText(runs, shown);
  byId("cell").textContent = text;
  byId("curve-plot").setAttribute("aria-label", `Held-out accuracy by step. ${text}`);
  curve.show(shown.rule, runs.curve(shown), final);
}

function showMaps(): void {
  for (const [rule, map] of maps) {
    const looks = cellsOf(GRID, rule).map((cell) => ({
      accuracy: runs.accuracy(cell),
      running: runs.isRunning(cell),
      seeds: runs.seeds(cell).length,
    }));
    const columns = GRID.decays[rule].length;
    const rows = GRID.rates.map((_, i) => looks.slice(i * columns, (i + 1) * columns));
    map.show(rows.toReversed().map(markBest));
  }
}

/** The best of a row is marked once every cell of it has come to its end. */
function markBest(row: readonly (Omit<Look, "best"> & { seeds: number })[]): Look[] {
  const highest = row.every(({ seeds }) => seeds > 0) ? Math.max(...row.map(({ accuracy }) => accuracy!)) : undefined;
  return row.map((look) => ({ ...look, best: look.accuracy !== undefined && look.accuracy === highest }));
}

function showControls(): void {
  byId("train").textContent = BUTTON[state];
  enable("train", true);
  enable("restart", seed > 0);
  enable("csv", seed > 0);
  const progress = byId<HTMLProgressElement>("progress");
  progress.max = CELLS.length;
  progress.value = seed === 0 ? 0 : runs.done - (seed - 1) * CELLS.length;
  byId("step").textContent = progressText(runs, seed, crew?.size ?? 0);
}

function showResults(): void {
  const claim = claimText(runs);
  byId("claim").textContent = claim;
  best.show(bestRows(runs));
}

function showAll(): void {
  showMaps();
  showControls();
  showCurve(true);
}

/** At most once a frame, however many workers report. */
function showSoon(): void {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    showMaps();
    showControls();
  });
}

function enter(next: State): void {
  state = next;
  showControls();
}

function onPoint(choice: Choice, point: Point): void {
  runs.add(choice, point);
  if (sameCell(choice, shown)) showCurve(point.step === GRID.steps);
  showSoon();
  if (runs.done < seed * CELLS.length) return;
  showAll();
  showResults();
  enter("finished");
  say(claimText(runs));
}

/** Runs that ended stay. */
function fail(reason: string): void {
  crew = undefined;
  runs.dropUnfinished();
  state = "paused";
  showAll();
  const text = `A worker has failed: ${reason}. The runs under way are lost.`;
  showError("worker", text, { label: "Start other workers", run: work });
}

/** Trains the cells that have not been trained with the present seed. */
function work(): void {
  clearError("worker");
  if (crew === undefined) {
    crew = new Crew(new URL("network.wasm", document.baseURI).href, onPoint, fail);
    const missing = CELLS.filter((cell) => !runs.seeds(cell).includes(seed));
    crew.add(missing.map((cell) => ({ ...cell, seed, steps: GRID.steps })));
  } else {
    crew.send("continue");
  }
  enter("running");
  say("Training.");
}

function next(): void {
  crew?.close();
  crew = undefined;
  seed++;
  work();
}

onClick("train", () => {
  if (state === "idle" || state === "finished") return next();
  if (state === "paused") return work();
  crew!.send("pause");
  enter("paused");
  say(`Paused. ${progressText(runs, seed, crew!.size)}`);
});
onClick("restart", () => {
  runs = new Runs();
  seed = 0;
  showAll();
  showResults();
  next();
});
onClick("csv", () => downloadCsv("grid.csv", toCsv(runs)));
showAll();
// In a task of its own, so that the page stays responsive.
setTimeout(() => curve.load());

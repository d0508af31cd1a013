import { clearError, downloadCsv, enable, onClick, say, showError } from "./controls.js";
import { toCsv } from "./csv.js";
import { DecayChart } from "./decayChart.js";
import { byId, LiveTable } from "./dom.js";
import { count } from "./format.js";
import { type Curves, LossChart } from "./lossChart.js";
import { LABELS, type Report, type SavedRun, type State } from "./protocol.js";
import { Session } from "./session.js";
import { DEFAULTS, type Settings } from "./settings.js";
import { SettingsForm } from "./settingsForm.js";
import { compareSpeed, showSpeed } from "./speed.js";
import type { BackendChoice } from "./speedProtocol.js";
import { STYLES } from "./styles.js";
import * as texts from "./texts.js";

const TRAIN_LABELS: Readonly<Record<State, string>> = {
  idle: "Start",
  loading: "Loading …",
  running: "Pause",
  paused: "Continue",
  finished: "Finished",
};

const none = (): Curves => ({
  ...{ labels: LABELS, losses: LABELS.map(() => []), evaluations: LABELS.map(() => []), changes: [] },
});

let session: Session | undefined;
let settings: Settings = DEFAULTS;
let curves = none();
let at: Extract<Report, { type: "state" }> = {
  type: "state",
  state: "idle",
  step: 0,
  steps: 0,
  stepsPerEpoch: 1,
  engine: { kernel: "", threads: 0 },
};
let decay: Extract<Report, { type: "decay" }>["pictures"];
let saved: SavedRun | undefined;
let storage: string | undefined;
let comparing = false;

const runClass = (row: number) => `run ${STYLES[row]!.colour}`;
const scores = new LiveTable(
  byId("scores"),
  "Latest loss and accuracy of each run",
  ["run", "training", "held out", "accuracy"],
  runClass,
);
const epochs = new LiveTable(byId("loss-table"), "Loss after each epoch", texts.epochHead(LABELS));
const decays = new LiveTable(
  byId("decay-table"),
  "Decay received as a multiple of the decay asked for, by gradient size",
  ["run", "RMS gradient up to", "median", "10 – 90 %", "weights"],
);
const lossChart = new LossChart(byId("loss-plot"));
const decayChart = new DecayChart(byId("decay-plot"));
const form = new SettingsForm(
  (key, value) => session?.send({ type: "set", key, value }),
  (width) => session?.send({ type: "width", width }),
);

function showControls(): void {
  const { state } = at;
  const settled = session !== undefined && state !== "loading" && !comparing;
  byId("train").textContent = TRAIN_LABELS[state];
  enable("train", settled && state !== "finished");
  enable("restart", settled && state !== "idle");
  enable("save", settled && state !== "idle" && storage === undefined);
  enable("load", settled && saved !== undefined);
  enable("compare", session !== undefined && !comparing);
  enable("csv", at.step > 0);
  const progress = byId<HTMLProgressElement>("progress");
  progress.max = at.steps || 1;
  progress.value = at.step;
  byId("step").textContent = texts.stepText(at);
  byId("engine").textContent = texts.engineText(at, settings.threads);
  byId("storage").textContent =
    storage === undefined ? (saved === undefined ? "" : texts.savedText(saved)) : `Saving is off. ${storage}`;
}

function showCurves(): void {
  const final = at.state !== "running";
  lossChart.show(curves, at.stepsPerEpoch, at.steps || 1000, final);
  scores.show(texts.scoreRows(curves));
  epochs.show(texts.epochRows(curves, at.stepsPerEpoch), texts.epochHead(curves.labels));
  byId("loss-plot").setAttribute("aria-label", texts.lossText(curves));
  for (const [id, text] of [
    ["difference", texts.differenceText(curves)],
    ["changes", texts.changesText(curves.changes)],
  ] as const) {
    byId(id).textContent = text;
    byId(id).hidden = text === "";
  }
}

function showDecay(): void {
  byId("decay-plot").setAttribute("aria-label", texts.decayText(decay));
  decayChart.show(decay, at.state !== "running");
  decays.show(decay === undefined ? [] : texts.decayRows(decay));
}

function onState(report: typeof at): void {
  const before = at;
  at = report;
  showControls();
  if (before.state === at.state) return;
  showCurves();
  showDecay();
  if (at.state === "running") {
    for (const kind of ["train", "restart", "load"]) clearError(kind);
    say("Training.");
  }
  if (at.state === "paused") say(`Paused at step ${count(at.step)}.`);
  if (at.state === "finished") say(`Finished. ${texts.lossText(curves)}`);
}

function onReport(report: Report): void {
  switch (report.type) {
    case "opened":
      ({ saved, storage } = report);
      loadCharts();
      break;
    case "state":
      onState(report);
      break;
    case "curves":
      curves = { ...report, losses: report.losses.map((added, i) => grown(curves.losses[i], report.from, added)) };
      showCurves();
      break;
    case "decay":
      decay = report.pictures;
      showDecay();
      break;
    case "settings":
      settings = report.settings;
      form.show(settings, report.key);
      showControls();
      break;
    case "refused":
      form.refuse(report.key, report.message);
      break;
    case "saved":
      saved = report.saved;
      clearError("save");
      say(texts.savedText(saved));
      showControls();
      break;
    case "failed":
      showError(report.request, texts.failureText(report.request, report.message), { label: "Dismiss", run: () => {} });
      break;
  }
}

/** What is known of a curve, with what comes after step `from`. */
function grown(known: number[] = [], from: number, added: readonly number[]): number[] {
  known.length = from;
  known.push(...added);
  return known;
}

function loadCharts(): void {
  lossChart.load();
  decayChart.load();
}

function open(): void {
  session = new Session(onReport, (reason) => {
    session = undefined;
    loadCharts();
    at = { ...at, state: "idle", step: 0, steps: 0, engine: { kernel: "", threads: 0 } };
    showControls();
    showError("worker", `The worker that trains has failed: ${reason}. What was not saved is lost.`, {
      label: "Start another worker",
      run: open,
    });
  });
  curves = none();
  decay = undefined;
  showControls();
  showCurves();
  showDecay();
  session.send({ type: "open", digits: new URL("digits.bin", document.baseURI).href, settings });
}

async function compare(): Promise<void> {
  const length = Number(byId<HTMLSelectElement>("speed-size").value);
  const backends = byId<HTMLSelectElement>("speed-backends").value as BackendChoice;
  const status = byId("speed-status");
  const interrupted = at.state === "running";
  comparing = true;
  showControls();
  if (interrupted) session?.send({ type: "pause" });
  try {
    status.textContent = "Preparing …";
    const { rows, missing } = await compareSpeed({ backends, length, threads: settings.threads }, (what) => {
      status.textContent = what;
    });
    showSpeed(rows, length);
    status.textContent = ["Done.", ...missing.map((reason) => `Not run: ${reason}.`)].join(" ");
  } catch (error) {
    status.textContent = `No comparison: ${error instanceof Error ? error.message : error}.`;
  }
  comparing = false;
  if (interrupted && at.state === "paused") session?.send({ type: "train" });
  showControls();
}

// Backends that the browser has nothing for are not offered.
const hasWebGl = typeof OffscreenCanvas !== "undefined" && new OffscreenCanvas(1, 1).getContext("webgl2") !== null;
for (const [value, there] of Object.entries({ webgl: hasWebGl, webgpu: "gpu" in navigator })) {
  byId("speed-backends").querySelector<HTMLOptionElement>(`[value="${value}"]`)!.hidden = !there;
}
onClick("train", () => session?.send({ type: at.state === "running" ? "pause" : "train" }));
for (const type of ["restart", "save", "load"] as const) onClick(type, () => session?.send({ type }));
onClick("compare", compare);
onClick("csv", () => downloadCsv("loss.csv", toCsv(curves, at.stepsPerEpoch)));
// Each in a task of its own, so that the page stays responsive.
setTimeout(open);
setTimeout(() => form.fill(byId<HTMLFormElement>("settings"), settings));

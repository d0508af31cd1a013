import { AdamW } from "fused-adam";
import type { Split } from "../shared/data.js";
import { fetchDigits } from "./digits.js";
import { messages } from "./messages.js";
import type { Report, Request, SavedRun, State } from "./protocol.js";
import { DEFAULTS, type NumberKey, type Settings } from "./settings.js";
import { findSaved, load, save, storageProblem } from "./store.js";
import { Trainer, type TrainerState } from "./trainer.js";

/** Milliseconds of training between two checks for messages of the page. */
const SLICE_MILLISECONDS = 25;
const CURVES_EVERY = 200;
/** Sorting the weights by their gradients takes some 10 ms. */
const DECAY_EVERY = 700;

// A process loads its language data when Intl is first used, which takes longer than a frame. The page's charts use it; here it is
// loaded while they wait for this worker.
new Intl.NumberFormat();
new Intl.DateTimeFormat().resolvedOptions();

const report = (message: Report) => postMessage(message);

let digits = "";
let split: Split | undefined;
let settings: Settings = DEFAULTS;
let trainer: Trainer | undefined;
let state: State = "idle";
/** Steps whose losses the page has been sent. */
let known = 0;
let loop = Promise.resolve();
/** Asks the loop to end after the slice it is in. */
let halting = false;

function enter(next: State): void {
  state = next;
  if (trainer === undefined) {
    report({ type: "state", state, step: 0, steps: 0, stepsPerEpoch: 0, engine: { kernel: "", threads: 0 } });
    return;
  }
  const { step, steps, engine, runs } = trainer;
  report({ type: "state", state, step, steps, stepsPerEpoch: runs[0]!.stepsPerEpoch, engine });
}

function reportCurves(): void {
  const { runs, changes } = trainer!;
  const labels = runs.map(({ rule }) => rule.label);
  const losses = runs.map((run) => run.losses.slice(known));
  const evaluations = runs.map((run) => [...run.evaluations]);
  report({ type: "curves", from: known, labels, losses, evaluations, changes: [...changes] });
  known = trainer!.step;
}

function reportDecay(): void {
  report({ type: "decay", pictures: trainer!.decay() });
}

/** Replaces the training. The old one stays until the new one is complete. */
async function replace(from?: TrainerState): Promise<void> {
  split ??= await fetchDigits(digits);
  const next = await Trainer.create(split, settings, from);
  trainer?.dispose();
  trainer = next;
  known = 0;
  reportCurves();
  reportDecay();
}

async function run(training: Trainer): Promise<void> {
  let curvesAt = performance.now();
  let decayAt = curvesAt;
  while (!halting && !training.finished) {
    const end = performance.now() + SLICE_MILLISECONDS;
    do training.advance();
    while (!training.finished && performance.now() < end);
    const now = performance.now();
    if (now - curvesAt >= CURVES_EVERY) {
      curvesAt = now;
      reportCurves();
      enter(state);
    }
    if (now - decayAt >= DECAY_EVERY) {
      decayAt = now;
      reportDecay();
    }
    await messages();
  }
  reportCurves();
  reportDecay();
  if (training.finished) enter("finished");
}

function start(): void {
  if (trainer!.finished) {
    enter("finished");
    return;
  }
  enter("running");
  loop = run(trainer!).catch((error) => {
    // A step that threw may have been taken by some runs and not by others.
    trainer!.dispose();
    trainer = undefined;
    fail("train", error);
    enter("idle");
  });
}

/** Ends the loop, and says whether it was in the middle of a training. */
async function halt(): Promise<boolean> {
  halting = true;
  await loop;
  halting = false;
  return state === "running";
}

/** The package's own checks decide what is legal. */
function check(key: NumberKey, value: number): void {
  const options = {
    lr: { lr: value },
    weightDecay: { weightDecay: value },
    beta1: { betas: [value, 0] as const },
    beta2: { betas: [0, value] as const },
    threads: {},
  }[key];
  AdamW.createSync({ probe: { shape: [1] } }, { kernel: "scalar", ...options }).dispose();
  const most = navigator.hardwareConcurrency;
  if (key === "threads" && !(Number.isInteger(value) && value >= 1 && value <= most)) {
    throw new RangeError(`"threads": expected a whole number from 1 to ${most}, got ${value}`);
  }
}

/** Takes settings that a training is made with: the present one is made again, and goes on where it was. */
async function remake(next: Settings): Promise<void> {
  const before = settings;
  settings = next;
  const running = await halt();
  try {
    if (trainer !== undefined) await replace(trainer.state());
  } catch (error) {
    settings = before;
    throw error;
  } finally {
    if (running) start();
    else enter(state);
  }
}

async function change(key: NumberKey, value: number): Promise<void> {
  try {
    check(key, value);
  } catch (error) {
    report({ type: "refused", key, message: messageOf(error) });
    return;
  }
  const next = { ...settings, [key]: value };
  if (trainer !== undefined && key === "threads" && value !== settings.threads) {
    await remake(next);
  } else {
    settings = next;
    trainer?.configure(settings);
  }
  report({ type: "settings", settings, key });
  if (trainer !== undefined && state !== "running") reportCurves();
}

const REQUESTS: { [R in Request as R["type"]]: (request: R) => Promise<void> | void } = {
  async open(request) {
    ({ digits, settings } = request);
    const storage = storageProblem();
    let saved: SavedRun | undefined;
    let problem: unknown;
    try {
      if (storage === undefined) saved = await findSaved();
    } catch (error) {
      problem = error;
    }
    report({ type: "opened", saved, storage });
    enter("idle");
    if (problem !== undefined) throw problem;
  },
  async train() {
    if (state === "running" || state === "finished") return;
    if (trainer === undefined) {
      enter("loading");
      await replace();
    }
    start();
  },
  async pause() {
    if (await halt()) enter("paused");
  },
  async restart() {
    await halt();
    enter("loading");
    await replace();
    start();
  },
  async save() {
    if (trainer === undefined) throw new Error("nothing was trained yet");
    report({ type: "saved", saved: await save(trainer.state()) });
  },
  async load() {
    const from = await load();
    if (await halt()) enter("paused");
    const before = settings;
    // A width that was chosen here stays. It need not be the saved one's: a checkpoint loads into any.
    const width = settings.width === "float32" ? from.settings.width : settings.width;
    settings = { ...from.settings, threads: settings.threads, width };
    enter("loading");
    try {
      await replace(from);
    } catch (error) {
      settings = before;
      throw error;
    }
    report({ type: "settings", settings });
    start();
  },
  set: ({ key, value }) => change(key, value),
  async width({ width }) {
    try {
      await remake({ ...settings, width });
    } finally {
      report({ type: "settings", settings, key: "width" });
    }
  },
};

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function fail(request: Request["type"], error: unknown): void {
  console.error(error);
  report({ type: "failed", request, message: messageOf(error) });
}

let queue = Promise.resolve();
addEventListener("message", ({ data: request }: MessageEvent<Request>) => {
  queue = queue.then(async () => {
    try {
      await (REQUESTS[request.type] as (request: Request) => Promise<void> | void)(request);
    } catch (error) {
      fail(request.type, error);
      if (state === "loading") enter(trainer === undefined ? "idle" : trainer.finished ? "finished" : "paused");
    }
  });
});

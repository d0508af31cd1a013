import { differenceOf } from "../shared/width.js";
import type { DecayPictures } from "./decayMeter.js";
import { count, fixed, megabytes, multiple, percent, short } from "./format.js";
import type { Curves } from "./lossChart.js";
import { LABELS, type Report, type Request, type SavedRun } from "./protocol.js";
import type { Change, NumberKey } from "./settings.js";

type StateReport = Extract<Report, { type: "state" }>;

/** How far the training is. */
export function stepText({ state, step, steps, stepsPerEpoch }: StateReport): string {
  if (state === "loading") return "Fetching and unpacking the digits …";
  if (steps === 0) return "Not started. Start fetches 1 MB of digits.";
  const epoch = Math.min(steps, step + 1) / stepsPerEpoch;
  const where = `Step ${count(step)} of ${count(steps)}, epoch ${Math.ceil(epoch)} of ${steps / stepsPerEpoch}`;
  return state === "finished" ? `${where}. Finished.` : where;
}

const ISOLATION =
  "more than one need shared memory, which browsers give to pages that are served with the headers " +
  "Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp";

/** The kernel and threads that steps run on, and, if they are not those asked for, why. */
export function engineText({ engine: { kernel, threads } }: StateReport, asked: number): string {
  if (kernel === "") return asked > 1 && !crossOriginIsolated ? `Steps will run on one thread: ${ISOLATION}.` : "";
  const kernelText =
    kernel === "scalar"
      ? "Kernel: TypeScript, more than 20 times slower, with the same bits. WebAssembly SIMD is missing here, or forbidden by a " +
        "content security policy without 'wasm-unsafe-eval'"
      : `Kernel: WebAssembly ${kernel.toUpperCase()}`;
  const threadsText = threads === 1 ? "Steps run on one thread" : `Steps run on ${threads} threads`;
  if (threads >= asked) return `${kernelText}. ${threadsText}.`;
  const reason = crossOriginIsolated ? "the package started no more" : ISOLATION;
  return `${kernelText}. ${threadsText} of the ${asked} asked for: ${reason}.`;
}

export function savedText({ step, at, bytes }: SavedRun): string {
  const when = new Date(at).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" });
  return `Saved: step ${count(step)}, ${when}, ${megabytes(bytes)} in this browser's private file system (OPFS).`;
}

const NAMES: Readonly<Record<NumberKey, string>> = {
  lr: "α",
  weightDecay: "λ",
  beta1: "β₁",
  beta2: "β₂",
  threads: "threads",
};

export function changesText(changes: readonly Change[]): string {
  const texts = changes.map(
    ({ step, key, from, to }) => `after step ${count(step)} ${NAMES[key]} from ${from} to ${to}`,
  );
  return texts.length === 0 ? "" : `Changed, dotted lines: ${texts.join("; ")}.`;
}

export function scoreRows({ labels, losses, evaluations }: Curves): string[][] {
  return labels.map((label, i) => {
    const last = evaluations[i]!.at(-1);
    return [label, fixed(losses[i]!.at(-1)), fixed(last?.loss), last === undefined ? "–" : percent(last.accuracy)];
  });
}

export function epochHead(labels: readonly string[]): string[] {
  const columns = (part: string) => labels.map((label) => `${label.replace(" + ", "\u00a0+\u00a0")}, ${part}`);
  return ["epoch", ...columns("training"), ...columns("held out")];
}

export function epochRows({ losses, evaluations }: Curves, stepsPerEpoch: number): string[][] {
  return evaluations[0]!.map(({ epoch }, row) => [
    String(epoch),
    ...losses.map((values) => fixed(values[Math.max(0, epoch * stepsPerEpoch - 1)])),
    ...evaluations.map((of) => fixed(of[row]?.loss)),
  ]);
}

/** What the loss chart shows, in one sentence. */
export function lossText({ labels, losses }: Curves): string {
  const step = losses[0]!.length;
  if (step === 0) return "Loss by step: nothing trained yet";
  const runs = labels.map((label, i) => `${label} from ${fixed(losses[i]![0])} to ${fixed(losses[i]!.at(-1))}`);
  return `Training loss over ${count(step)} steps: ${runs.join(", ")}. The table below has the values.`;
}

/** How far the run in another width is from AdamW in float32, from where they differ; without such a run, nothing. */
export function differenceText({ labels, losses }: Curves): string {
  const [float32, other] = [losses[0]!, losses[LABELS.length]];
  if (other === undefined) return "";
  const label = labels[LABELS.length];
  const start = other.findIndex((loss, i) => loss !== float32[i]);
  if (start < 0) return `${label}: so far with the losses of float32.`;
  const { mean, largest, step } = differenceOf(float32.slice(start), other.slice(start));
  return (
    `${label}: from step ${count(start + 1)} on its training loss differs from float32's by ${fixed(mean, 5)} on average, ` +
    `by ${fixed(largest, 5)} at most (step ${count(start + step)}).`
  );
}

export function decayRows({ runs }: DecayPictures): string[][] {
  return runs.flatMap(({ bins }, run) =>
    bins.map(({ largest, weights, median, low, high }) => [
      LABELS[run]!,
      largest === 0 ? "0" : largest.toExponential(1),
      multiple(median),
      `${multiple(low)} … ${multiple(high)}`,
      count(weights),
    ]),
  );
}

/** What the decay chart shows, in one sentence. */
export function decayText(pictures: DecayPictures | undefined): string {
  if (pictures === undefined) return "Decay by gradient size: nothing trained yet";
  const { runs, since, step } = pictures;
  const sentences = runs.map(({ bins }, run) => {
    const active = bins.filter(({ largest }) => largest > 0);
    const [small, large] = [active[0], active.at(-1)];
    if (small === undefined || large === undefined || !Number.isFinite(small.median)) {
      return `${LABELS[run]}: no decay was asked for.`;
    }
    const [most, least] = [short(small.median), short(large.median)];
    return `${LABELS[run]}: weights with small gradients decayed ${most} times as asked, those with large ones ${least} times.`;
  });
  return `Decay in steps ${count(since + 1)} to ${count(step)}. ${sentences.join(" ")} The table below has the values.`;
}

const FAILED: Readonly<Record<Request["type"], string>> = {
  open: "What was saved here cannot be read",
  train: "The training cannot go on",
  pause: "The training could not be paused",
  restart: "The training could not start over",
  save: "Not saved",
  load: "The saved run cannot be resumed",
  set: "The setting was not changed",
  width: "The width was not changed",
};

export function failureText(request: Request["type"], message: string): string {
  return `${FAILED[request]}: ${message}`;
}

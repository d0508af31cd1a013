import type { RunState } from "../shared/run.js";
import { LABELS, type SavedRun } from "./protocol.js";
import type { TrainerState } from "./trainer.js";

/*
 * A saved training is one file: the SHA-256 of all that follows, the length of a JSON header (uint32, little-endian), the
 * header, and the parts whose lengths it lists. Numbers that must keep their bits go into parts, not into JSON, which has no NaN.
 */

const FILE = "fused-adam-demo.run";
const VERSION = 2;
const DIGEST = 32;
/** Losses and checkpoint of three or four runs, then four arrays of two meters. */
const METER_PARTS = 2 * 4;
const partsOfRuns = ({ settings }: Pick<TrainerState, "settings">) =>
  2 * (LABELS.length + (settings.width === "float32" ? 0 : 1));

type Bytes = Uint8Array<ArrayBuffer>;

interface Header extends Pick<TrainerState, "settings" | "changes"> {
  readonly version: number;
  readonly step: number;
  readonly at: number;
  readonly parts: readonly number[];
}

/** Why nothing can be saved here, if so. */
export function storageProblem(): string | undefined {
  if (!isSecureContext)
    return "This page was not loaded over HTTPS or from localhost, so the browser offers no storage (OPFS).";
  if (navigator.storage?.getDirectory === undefined || !("createWritable" in FileSystemFileHandle.prototype)) {
    return "This browser has no origin private file system (OPFS) that can be written to.";
  }
  return undefined;
}

/** The old file stays until the new one is complete. */
export async function save(state: TrainerState): Promise<SavedRun> {
  const parts = partsOf(state);
  const saved = { step: state.runs[0]!.losses.length, at: Date.now() };
  const { settings, changes } = state;
  const header: Header = { version: VERSION, ...saved, settings, changes, parts: parts.map(({ length }) => length) };
  const text = new TextEncoder().encode(JSON.stringify(header));
  const folder = await navigator.storage.getDirectory();
  const stream = await (await folder.getFileHandle(FILE, { create: true })).createWritable();
  try {
    const content = new Blob([Uint32Array.of(text.length), text, ...parts]);
    await stream.write(new Blob([await digest(content), content]));
  } catch (error) {
    await stream.abort();
    throw error;
  }
  await stream.close();
  return { ...saved, bytes: DIGEST + 4 + text.length + parts.reduce((sum, { length }) => sum + length, 0) };
}

/** What is saved, read from the header alone. */
export async function findSaved(): Promise<SavedRun | undefined> {
  const file = await open();
  if (file === undefined) return undefined;
  const { step, at } = (await readHeader(file)).header;
  return { step, at, bytes: file.size };
}

export async function load(): Promise<TrainerState> {
  const file = await open();
  if (file === undefined) throw new Error("there is none");
  const wanted = new Uint8Array(await file.slice(0, DIGEST).arrayBuffer());
  const found = await digest(file.slice(DIGEST));
  if (wanted.length !== DIGEST || wanted.some((byte, i) => byte !== found[i])) throw new Error("it was damaged");
  const { header, end } = await readHeader(file);
  const bytes = new Uint8Array(await file.slice(end).arrayBuffer());
  const length = header.parts.reduce((sum, part) => sum + part, 0);
  if (header.parts.length !== partsOfRuns(header) + METER_PARTS || length !== bytes.length)
    throw new Error("it is not whole");
  let at = 0;
  return stateOf(
    header,
    header.parts.map((part) => {
      at += part;
      return bytes.slice(at - part, at);
    }),
  );
}

/** The file; undefined if there is none, or an empty one that was never closed. */
async function open(): Promise<File | undefined> {
  const folder = await navigator.storage.getDirectory();
  try {
    const file = await (await folder.getFileHandle(FILE)).getFile();
    return file.size > 0 ? file : undefined;
  } catch (error) {
    if (error instanceof DOMException && error.name === "NotFoundError") return undefined;
    throw error;
  }
}

async function readHeader(file: File): Promise<{ header: Header; end: number }> {
  const start = DIGEST + 4;
  const prefix = await file.slice(DIGEST, start).arrayBuffer();
  const end = start + (prefix.byteLength === 4 ? new DataView(prefix).getUint32(0, true) : 0);
  if (end === start || end > file.size) throw new Error("it is not whole");
  const header = JSON.parse(await file.slice(start, end).text()) as Header;
  if (header.version !== VERSION) throw new Error(`it has version ${header.version}, not ${VERSION}`);
  return { header, end };
}

async function digest(content: Blob): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", await content.arrayBuffer()));
}

function partsOf({ runs, meters }: TrainerState): Bytes[] {
  const bytes = ({ buffer, byteOffset, byteLength }: Float64Array): Bytes =>
    new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
  return [
    ...runs.flatMap((run) => [bytes(numbersOf(run)), run.checkpoint]),
    ...meters.flatMap((meter) => [meter.gradientMean, meter.received, meter.asked, meter.squares].map(bytes)),
  ];
}

function stateOf(header: Header, parts: readonly Bytes[]): TrainerState {
  const { settings, changes } = header;
  const meters = partsOfRuns(header);
  const floats = ({ buffer }: Bytes) => new Float64Array(buffer);
  return {
    settings,
    changes,
    runs: Array.from({ length: meters / 2 }, (_, i) => runOf(floats(parts[2 * i]!), parts[2 * i + 1]!)),
    meters: [meters, meters + 4].map((i) => {
      const [gradientMean, received, asked, squares] = parts.slice(i, i + 4).map(floats);
      return { gradientMean: gradientMean!, received: received!, asked: asked!, squares: squares! };
    }),
  };
}

function numbersOf({ mean, losses, evaluations }: RunState): Float64Array {
  const flat = evaluations.flatMap(({ epoch, loss, accuracy }) => [epoch, loss, accuracy]);
  return Float64Array.from([mean, losses.length, ...losses, ...flat]);
}

function runOf(numbers: Float64Array, checkpoint: Bytes): RunState {
  const end = 2 + numbers[1]!;
  const evaluations = [];
  for (let i = end; i + 2 < numbers.length; i += 3) {
    evaluations.push({ epoch: numbers[i]!, loss: numbers[i + 1]!, accuracy: numbers[i + 2]! });
  }
  return { mean: numbers[0]!, losses: [...numbers.subarray(2, end)], evaluations, checkpoint };
}

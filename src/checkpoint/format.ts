import { fail, quote, show } from "../checks/errors.js";
import type { GroupState, KernelKind } from "../checks/types.js";
import { MOMENT_KEYS } from "../memory/regions.js";
import { Xxh32 } from "./checksum.js";
import { JsonReader } from "./json.js";
import type { Header } from "./safetensors.js";

/** The metadata of a checkpoint, apart from its checksum. */
export interface CheckpointInfo {
  /** By name of the parameter. */
  readonly steps: ReadonlyMap<string, number>;
  readonly groups: readonly GroupState[];
  /** The kernel of the optimizer that was saved. */
  readonly kernel: KernelKind | undefined;
  /** The user's own. */
  readonly metadata: ReadonlyMap<string, string>;
  /** Names of the user's own tensors. */
  readonly tensors: readonly string[];
}

const FORMAT = "fused-adam";
const VERSION = "2";
/** Files that are still read: their groups do not say which rule made the state. */
const WITHOUT_RULE = "1";
const KERNELS: readonly string[] = ["simd", "relaxed", "scalar"] satisfies KernelKind[];
const REQUIRED = ["format", "version", "steps", "param_groups"];
/** All keys there are. Another one is refused: it could be a damaged "checksum", without which nothing would be verified. */
const KEYS = ["checksum", "kernel", ...REQUIRED, "metadata", "tensors"];
const KEYS_WITHOUT_RULE = KEYS.slice(0, -2);

const ALGORITHM = "xxh32:";
/** Stands in for the checksum's own digits while the checksum is computed. */
const ZERO_DIGITS = new Uint8Array(8).fill(0x30);
/** Offset of the digits in a file written here, whose first metadata entry is the checksum. */
export const DIGITS_AT = `12345678{"__metadata__":{"checksum":"${ALGORITHM}`.length;

const SUFFIXES = MOMENT_KEYS.map((key) => `.${key}`);

/** Whether it is the name of a parameter's tensor, or of one that it could have. @param params their names */
export function isReserved(params: Pick<ReadonlySet<string>, "has">, name: string): boolean {
  return params.has(name) || SUFFIXES.some((end) => name.endsWith(end) && params.has(name.slice(0, -end.length)));
}

export function isCheckpoint(header: Header): boolean {
  return header.metadata.get("format") === FORMAT;
}

/** The metadata, with zeros in place of the checksum's digits. */
export function writeMetadata(info: CheckpointInfo): Map<string, string> {
  const metadata = new Map([
    ["checksum", `${ALGORITHM}00000000`],
    ["format", FORMAT],
    ["version", VERSION],
  ]);
  if (info.kernel !== undefined) metadata.set("kernel", info.kernel);
  metadata.set("steps", jsonObject(info.steps));
  metadata.set("param_groups", `[${info.groups.map((group) => jsonObject(Object.entries(group)))}]`);
  if (info.metadata.size > 0) metadata.set("metadata", jsonObject(info.metadata));
  if (info.tensors.length > 0) metadata.set("tensors", json(info.tensors));
  return metadata;
}

/** An object as JSON, also if a key is "__proto__". */
export function jsonObject(entries: Iterable<readonly [string, unknown]>): string {
  return `{${Array.from(entries, ([key, value]) => `${JSON.stringify(key)}:${json(value)}`)}}`;
}

/** Keeps the sign of zero. */
function json(value: unknown): string {
  if (Object.is(value, -0)) return "-0";
  return Array.isArray(value) ? `[${value.map(json)}]` : JSON.stringify(value);
}

/**
 * The metadata of a checkpoint. Whether names, steps and hyper-parameters are legal and fit an optimizer is left to `checkState`.
 *
 * @throws RangeError `ERR_CHECKPOINT` naming what is missing, unknown or malformed
 */
export function readMetadata({ metadata }: Header): CheckpointInfo {
  const format = metadata.get("format");
  if (format !== FORMAT) {
    invalid(
      "format",
      `"${FORMAT}"`,
      `${format === undefined ? "none" : quote(format)}: not a checkpoint of fused-adam`,
    );
  }
  for (const key of REQUIRED) if (!metadata.has(key)) invalid(key, "an entry in the metadata", "none");
  const [version, kernel] = ["version", "kernel"].map((key) => metadata.get(key));
  const keys = version === WITHOUT_RULE ? KEYS_WITHOUT_RULE : KEYS;
  for (const key of metadata.keys()) {
    if (!keys.includes(key)) invalid("__metadata__", `only the keys ${keys.join(", ")}`, `the key ${show(key)}`);
  }
  if (version !== VERSION && version !== WITHOUT_RULE) {
    invalid("version", `"${WITHOUT_RULE}" or "${VERSION}"`, show(version));
  }
  if (kernel !== undefined && !KERNELS.includes(kernel))
    invalid("kernel", `one of ${KERNELS.join(", ")}`, show(kernel));

  const steps = new Map<string, number>();
  const stepReader = new JsonReader("steps", metadata.get("steps")!);
  stepReader.object((name) => steps.set(name, stepReader.count()));
  stepReader.end();

  const groupReader = new JsonReader("param_groups", metadata.get("param_groups")!);
  const groups = groupReader.array(() => readGroup(groupReader, version === VERSION));
  groupReader.end();

  const own = new Map<string, string>();
  const ownReader = new JsonReader("metadata", metadata.get("metadata") ?? "{}");
  ownReader.object((key) => own.set(key, ownReader.string()));
  ownReader.end();

  const tensorReader = new JsonReader("tensors", metadata.get("tensors") ?? "[]");
  const tensors = tensorReader.array(() => tensorReader.string());
  tensorReader.end();
  return { steps, groups, kernel: kernel as KernelKind | undefined, metadata: own, tensors };
}

const RULE = "decoupled_weight_decay";
const GROUP_READERS = {
  lr: (reader) => reader.number(),
  betas: (reader) => reader.array(() => reader.number()) as [number, number],
  eps: (reader) => reader.number(),
  weight_decay: (reader) => reader.number(),
  amsgrad: (reader) => reader.boolean(),
  maximize: (reader) => reader.boolean(),
  bias_correction: (reader) => reader.boolean(),
  decoupled_weight_decay: (reader) => reader.boolean(),
  params: (reader) => reader.array(() => reader.string()),
} satisfies { [K in keyof GroupState]: (reader: JsonReader) => GroupState[K] };

function readGroup(reader: JsonReader, hasRule: boolean): GroupState {
  const group: Partial<Record<keyof GroupState, unknown>> = {};
  const known = (Object.keys(GROUP_READERS) as (keyof GroupState)[]).filter((key) => hasRule || key !== RULE);
  reader.object((key) => {
    const found = known.find((name) => name === key) ?? reader.unknownKey(key, known);
    group[found] = GROUP_READERS[found](reader);
  });
  // The other keys are checked with the values of a state dict, where this one may be missing.
  if (hasRule && group[RULE] === undefined) invalid("param_groups", `the key ${RULE} in every group`, "none");
  return group as GroupState;
}

/** The checksum that a file has, and the offset of its digits. */
export interface Checksum {
  readonly digits: string;
  readonly at: number;
}

/** @throws RangeError `ERR_CHECKPOINT` for a checksum of another kind, or digits that are escaped */
export function checksumOf(header: Header, start: Uint8Array): Checksum | undefined {
  const value = header.metadata.get("checksum");
  if (value === undefined) return undefined;
  const digits = /^xxh32:([0-9a-f]{8})$/.exec(value)?.[1];
  if (digits === undefined) invalid("checksum", `"${ALGORITHM}" and eight digits in 0-9a-f`, show(value));
  const at = header.metadataOffset("checksum") + ALGORITHM.length;
  const written = String.fromCharCode(...start.subarray(at, at + digits.length));
  if (written !== digits) invalid("checksum", "digits without escapes", show(written));
  return { digits, at };
}

/** A checksum over the first bytes of a file, with zeros in place of the digits at `at`. */
export function hashAround(at: number, bytes: Uint8Array): Xxh32 {
  return new Xxh32()
    .update(bytes.subarray(0, at))
    .update(ZERO_DIGITS)
    .update(bytes.subarray(at + ZERO_DIGITS.length));
}

/** @throws RangeError `ERR_CHECKSUM` */
export function checkDigits(computed: string, found: string): void {
  if (computed !== found) fail(RangeError, "ERR_CHECKSUM", "checksum", `${ALGORITHM}${computed}`, ALGORITHM + found);
}

function invalid(label: string, expected: string, got: string): never {
  fail(RangeError, "ERR_CHECKPOINT", label, expected, got);
}

import {
  type CheckpointInfo,
  checkDigits,
  checksumOf,
  hashAround,
  jsonObject,
  readMetadata,
  writeMetadata,
} from "../checkpoint/format.js";
import { JsonReader } from "../checkpoint/json.js";
import { checkTypes, type Header, parseHeader, type TensorEntry } from "../checkpoint/safetensors.js";
import { ADAM_DEFAULTS } from "../checks/defaults.js";
import { fail, show, showShape } from "../checks/errors.js";
import { MOMENT_FORMATS } from "../checks/formats.js";
import { sameShape } from "../checks/values.js";
import { FLOAT32, momentsOf, STORAGES } from "../memory/regions.js";
import { blocksOf, DIGITS } from "./blocks.js";

/** State goes into files of one kind, parameters into those of another, which other libraries read. */
export type Kind = "optimizer" | "model";

/** What Hugging Face's readers want to find in the metadata of a model's file. */
export const FORMATS: Readonly<Record<Kind, string>> = { optimizer: "fused-adam-shard", model: "pt" };
/** How their elements may be stored. */
const DTYPES: Record<Kind, readonly string[]> = {
  optimizer: MOMENT_FORMATS.map((format) => STORAGES[format].dtype),
  model: [FLOAT32.dtype],
};
const VERSION = "1";
/** Beside those of a checkpoint. `merged` stands only where whole tensors were put together from parts. */
const OWN_KEYS = ["shard", "run", "rank", "ranks", "params", "rows", "sums"];
const MERGED = "merged";
/** File names have five digits for the count. */
export const MOST_RANKS = 99999;

/** What a shard has of a tensor: contiguous parts of its rows, which begin at all but the last of `rows`. */
export interface Share {
  /** Of the whole tensor. */
  readonly shape: readonly number[];
  readonly rows: readonly number[];
}

/** What every shard of a save says, and what only one says. */
export interface ShardInfo extends Pick<CheckpointInfo, "steps" | "groups" | "kernel"> {
  readonly run: string;
  readonly rank: number;
  readonly ranks: number;
  /** Whether the save has shards of the model as well. */
  readonly params: boolean;
  readonly merged: boolean;
  /** By name of the parameter: one entry for each of the model's. */
  readonly shares: ReadonlyMap<string, Share>;
  /** By name of the tensor in the file: the checksums of its blocks. */
  readonly sums: ReadonlyMap<string, string>;
}

/** The header of a shard, checked. */
export interface Shard extends ShardInfo {
  readonly label: string;
  readonly kind: Kind;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  /** What is the same in all shards of a save, as it is written. */
  readonly common: ReadonlyMap<string, string>;
  /** The header's checksum. As the header has the checksums of the data, it stands for the whole file. */
  readonly digits: string;
}

export function writeShardMetadata(kind: Kind, info: ShardInfo): Map<string, string> {
  const metadata = writeMetadata({ ...info, metadata: new Map(), tensors: [] });
  metadata.set("format", FORMATS[kind]);
  metadata.set("shard", `${kind} ${VERSION}`);
  metadata.set("run", info.run);
  metadata.set("rank", String(info.rank));
  metadata.set("ranks", String(info.ranks));
  metadata.set("params", String(info.params));
  if (info.merged) metadata.set(MERGED, "true");
  metadata.set("rows", jsonObject(info.shares));
  metadata.set("sums", jsonObject(info.sums));
  return metadata;
}

/** Whether it is what this package writes, or claims to be: other safetensors files have no such entry. */
export function isShard({ metadata }: Header): boolean {
  return metadata.has("shard");
}

/**
 * The header of a shard, from the file's first bytes, checked against the length of the file and against itself. Whether shards fit
 * each other is left to `checkSet`, the data to whoever reads them.
 *
 * @throws RangeError `ERR_CHECKPOINT`, `ERR_CHECKSUM`
 */
export function parseShard(label: string, kind: Kind, start: Uint8Array, fileLength: number): Shard {
  const header = parseHeader(start, fileLength);
  checkTypes(header);
  const { metadata, tensors } = header;
  const expected = `${kind} ${VERSION}`;
  if (metadata.get("shard") !== expected) invalid("shard", show(expected), show(metadata.get("shard")));
  const checksum = checksumOf(header, start);
  if (checksum === undefined) invalid("checksum", "an entry in the metadata", "none");
  checkDigits(hashAround(checksum.at, start).digest(), checksum.digits);
  if (metadata.get("format") !== FORMATS[kind]) invalid("format", show(FORMATS[kind]), show(metadata.get("format")));

  const own = new Set([...OWN_KEYS, MERGED]);
  for (const key of OWN_KEYS) if (!metadata.has(key)) invalid(key, "an entry in the metadata", "none");
  const rest = new Map([...metadata].filter(([key]) => !own.has(key)));
  const { steps, groups, kernel } = readMetadata({ ...header, metadata: rest.set("format", "fused-adam") });
  const read = <T>(key: string, value: (reader: JsonReader) => T): T => {
    const reader = new JsonReader(key, metadata.get(key) ?? "false");
    const result = value(reader);
    reader.end();
    return result;
  };
  const ranks = read("ranks", (reader) => reader.count());
  const rank = read("rank", (reader) => reader.count());
  if (ranks < 1 || ranks > MOST_RANKS) invalid("ranks", `1 to ${MOST_RANKS}`, String(ranks));
  if (rank >= ranks) invalid("rank", `0 to ${ranks - 1}`, String(rank));
  const info: ShardInfo = {
    ...{ steps, groups, kernel, rank, ranks },
    run: metadata.get("run")!,
    params: read("params", (reader) => reader.boolean()),
    merged: read(MERGED, (reader) => reader.boolean()),
    shares: read("rows", readShares),
    sums: read("sums", readSums),
  };
  checkTensors(kind, info, tensors);
  const common = new Map(["run", "ranks", "params", "steps", "param_groups"].map((key) => [key, metadata.get(key)!]));
  return { ...info, label, kind, tensors, common, digits: checksum.digits };
}

function readShares(reader: JsonReader): Map<string, Share> {
  const shares = new Map<string, Share>();
  reader.object((name) => {
    const share: Record<string, number[]> = {};
    reader.object((key) => {
      if (key !== "shape" && key !== "rows") reader.unknownKey(key, ["shape", "rows"]);
      share[key] = reader.array(() => reader.count());
    });
    const { shape, rows } = share;
    if (shape === undefined || rows === undefined) invalid(`rows.${name}`, "a shape and rows", "one of them");
    const all = rowsIn({ shape, rows });
    if (rows.length < 2 || rows.at(-1)! > all || rows.some((row, i) => i > 0 && row < rows[i - 1]!)) {
      invalid(`rows.${name}`, `ascending rows up to ${all}`, showShape(rows));
    }
    shares.set(name, { shape, rows });
  });
  return shares;
}

function readSums(reader: JsonReader): Map<string, string> {
  const sums = new Map<string, string>();
  reader.object((name) => {
    const digits = reader.string();
    if (!/^(?:[0-9a-f]{8})*$/.test(digits))
      invalid(`sums.${name}`, "eight digits in 0-9a-f for each block", show(digits));
    sums.set(name, digits);
  });
  return sums;
}

/** The tensors that a file has of each parameter. */
export function keysOf(kind: Kind, { groups }: Pick<ShardInfo, "groups">): ReadonlyMap<string, readonly string[]> {
  return new Map(
    groups.flatMap((group) => {
      const keys =
        kind === "model" ? [""] : momentsOf({ ...ADAM_DEFAULTS, amsgrad: group.amsgrad }).map(({ key }) => `.${key}`);
      return (group.params ?? []).map((name) => [name, keys] as const);
    }),
  );
}

/** The tensors that a shard has in its file, and whose they are. */
export function* entriesOf(shard: Shard): Iterable<{ name: string; tensor: string; entry: TensorEntry }> {
  for (const [name, keys] of keysOf(shard.kind, shard)) {
    for (const key of keys) {
      const tensor = name + key;
      const entry = shard.tensors.get(tensor);
      if (entry !== undefined) yield { name, tensor, entry };
    }
  }
}

/** How many rows the whole tensor has. */
export function rowsIn({ shape }: Share): number {
  return shape[0] ?? 1;
}

/** The first row that a shard has, and the one behind its last. */
export function heldRows({ rows }: Share): readonly [number, number] {
  return [rows[0]!, rows.at(-1)!];
}

/** Whether a shard has a tensor of its rows. One without rows is written once. */
export function holds(share: Share, rank: number): boolean {
  const [first, end] = heldRows(share);
  return first < end || (rowsIn(share) === 0 && rank === 0);
}

/** The shape of what a shard has of a tensor. */
export function heldShape(share: Share): readonly number[] {
  const [first, end] = heldRows(share);
  return share.shape.length === 0 ? share.shape : [end - first, ...share.shape.slice(1)];
}

/** A contiguous part of a tensor in a file. */
export interface Segment {
  /** Its rows: from the first up to, and without, the last. */
  readonly first: number;
  readonly end: number;
  /** Its bytes in the file. */
  readonly start: number;
  readonly bytes: number;
  readonly sums: string;
}

/** The parts that a shard has of a tensor. */
export function segmentsOf({ shares, sums }: ShardInfo, name: string, tensor: string, entry: TensorEntry): Segment[] {
  const share = shares.get(name)!;
  const { rows } = share;
  const count = heldRows(share)[1] - heldRows(share)[0];
  const row = count === 0 ? 0 : (entry.end - entry.start) / count;
  let { start } = entry;
  let digits = 0;
  return rows.slice(1).map((end, i) => {
    const first = rows[i]!;
    const bytes = (end - first) * row;
    const length = DIGITS * blocksOf(bytes);
    const segment = { first, end, start, bytes, sums: sums.get(tensor)!.slice(digits, digits + length) };
    start += bytes;
    digits += length;
    return segment;
  });
}

/** Checks that a file has the tensors that its metadata say, and no other. */
function checkTensors(kind: Kind, info: ShardInfo, tensors: ReadonlyMap<string, TensorEntry>): void {
  const keys = keysOf(kind, info);
  const names = new Set(keys.keys());
  for (const known of [info.steps, info.shares]) {
    const other = [...names].find((name) => !known.has(name)) ?? [...known.keys()].find((name) => !names.has(name));
    if (other !== undefined) invalid("rows", "the parameters of the groups", `${show(other)} in one of them only`);
  }
  const left = new Set(tensors.keys());
  for (const [name, share] of info.shares) {
    if (!holds(share, info.rank)) continue;
    for (const key of keys.get(name)!) {
      const tensor = name + key;
      const entry = tensors.get(tensor);
      if (entry === undefined || !left.delete(tensor)) invalid("file", `a tensor ${show(tensor)}`, "none");
      const shape = heldShape(share);
      if (!sameShape(entry.shape, shape)) invalid(tensor, `shape ${showShape(shape)}`, showShape(entry.shape));
      if (!DTYPES[kind].includes(entry.dtype))
        invalid(tensor, `elements of type ${DTYPES[kind].join(" or ")}`, entry.dtype);
      const digits = info.sums.get(tensor)?.length;
      const blocks =
        digits === undefined
          ? 0
          : segmentsOf(info, name, tensor, entry).reduce((sum, { bytes }) => sum + blocksOf(bytes), 0);
      if (digits !== DIGITS * blocks)
        invalid(`sums.${tensor}`, `${DIGITS} digits for each block`, String(digits ?? "none"));
    }
  }
  for (const tensor of left) invalid("file", "only tensors that its metadata list", show(tensor));
  for (const tensor of info.sums.keys())
    if (!tensors.has(tensor)) invalid("sums", "only tensors of the file", show(tensor));
}

export function invalid(label: string, expected: string, got: string): never {
  fail(RangeError, "ERR_CHECKPOINT", label, expected, got);
}

import { DIGITS_AT, hashAround } from "../checkpoint/format.js";
import { serializeHeader } from "../checkpoint/safetensors.js";
import { type Plan, partsOf, planFile } from "../checkpoint/save.js";
import { checkText, encodeUtf8 } from "../checkpoint/text.js";
import { failRange, failType } from "../checks/errors.js";
import type { KernelKind } from "../checks/types.js";
import { type Checks, checkBoolean, checkCount, checkObject, optionReader } from "../checks/values.js";
import type { Group } from "../optimizer/group.js";
import { readGroupState } from "../optimizer/stateDict.js";
import { sumsOf } from "./blocks.js";
import { heldShape, holds, type Kind, MOST_RANKS, type ShardInfo, type Share, writeShardMetadata } from "./format.js";

/** Which shard it is, of which save. */
export interface ShardSettings {
  rank: number;
  ranks: number;
  run: string;
  params: boolean;
}

const CHECKS: Checks<ShardSettings> = {
  rank: checkCount,
  ranks: (label, value) => checkCount(label, value, 1),
  run: checkRun,
  params: checkBoolean,
};
const read = optionReader(CHECKS);

function checkRun(label: string, value: unknown): string {
  if (typeof value !== "string") failType(label, "a string", value);
  // Two strings with half of a surrogate pair could become the same.
  checkText(label, value);
  return value;
}

export function readShardOptions(options: unknown): ShardSettings {
  const checked = checkObject("options", options, Object.keys(CHECKS));
  const missing = { rank: undefined, ranks: undefined, run: undefined } as unknown as ShardSettings;
  const settings = read(checked, { ...missing, params: true });
  for (const key of ["rank", "ranks", "run"] as const) if (settings[key] === undefined) CHECKS[key](key, undefined);
  const { rank, ranks } = settings;
  if (ranks > MOST_RANKS) failRange("ranks", `an integer from 1 to ${MOST_RANKS}`, ranks);
  if (rank >= ranks) failRange("rank", `an integer from 0 to ${ranks - 1}`, rank);
  return settings;
}

/** The files of a shard, without their data: that of the state, and that of the parameters where they are asked for. */
export function planShard(
  groups: readonly Group[],
  kernel: KernelKind,
  settings: ShardSettings,
): { optimizer: Plan; model?: Plan } {
  const tensors = groups.flatMap((group) => group.tensors);
  const shares = new Map<string, Share>(tensors.map(({ name, shape, rows }) => [name, { shape, rows }]));
  const steps = new Map(tensors.map(({ name, step }) => [name, step]));
  const common = { ...settings, steps, groups: groups.map(readGroupState), kernel, merged: false, shares };
  const held = tensors.filter(({ shape, rows }) => holds({ shape, rows }, settings.rank));
  const plan = (kind: Kind) => {
    const parts = held.flatMap((tensor) =>
      partsOf(tensor, kind === "model" ? "param" : "moment").map((part) => ({ ...part, shape: heldShape(tensor) })),
    );
    const sums = new Map(parts.map((part) => [part.name, sumsOf(part.bytes())]));
    return planFile(serializeShardHeader(kind, { ...common, sums }, parts), parts);
  };
  return settings.params ? { optimizer: plan("optimizer"), model: plan("model") } : { optimizer: plan("optimizer") };
}

/** With the checksum in its place. It is the header's alone: the data have their own in it. */
export function serializeShardHeader(
  kind: Kind,
  info: ShardInfo,
  tensors: Parameters<typeof serializeHeader>[0],
): Uint8Array {
  const header = serializeHeader(tensors, writeShardMetadata(kind, info));
  header.set(encodeUtf8(hashAround(DIGITS_AT, header).digest()), DIGITS_AT);
  return header;
}

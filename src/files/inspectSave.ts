import fs from "node:fs/promises";
import { basename, join } from "node:path";
import type { Header } from "../checkpoint/safetensors.js";
import { visible } from "../checks/errors.js";
import { heldRows } from "../shards/format.js";
import { checkAll } from "../shards/read.js";
import { allPieces, type ShardSet } from "../shards/set.js";
import { columns, groupLines, type Inspection } from "./report.js";
import { findSave, isThere, KINDS, openSave, openShard, readFiles } from "./shardFolder.js";
import { indexName } from "./shardNames.js";

/** Whether it is a folder that `saveShards` writes to. */
export async function isSave(path: string): Promise<boolean> {
  const found = await Promise.all(KINDS.map((kind) => fs.stat(join(path, kind)).catch(() => undefined)));
  return found.some((stat) => stat?.isDirectory());
}

/** Reads all shards, and says whether they are those of one save, complete and undamaged. */
export async function inspectSave(path: string): Promise<Inspection> {
  const faults: string[] = [];
  const attempt = async <T>(run: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await run();
    } catch (error) {
      faults.push((error as Error).message);
      return undefined;
    }
  };
  const isComplete = await isThere(join(path, "optimizer", indexName("optimizer")));
  const found = await attempt(() => (isComplete ? openSave(path) : findSave(path)));
  const sets = found === undefined ? [] : [found.model, found.optimizer].filter((set) => set !== undefined);
  for (const set of sets) await attempt(() => readFiles(checkAll(allPieces(set))));
  const lines = [
    `${visible(path)}: ${isComplete ? "a complete save" : "the save was not completed"}`,
    ...faults.map((fault) => `damaged: ${fault}`),
    ...(sets.length > 0 && faults.length === 0 ? ["every checksum holds"] : []),
    ...(found === undefined ? [] : aboutSave(found.optimizer.common)),
    ...(sets.length > 0 ? ["", ...columns([["file", "tensors", "bytes", "rows"], ...sets.flatMap(rowsOf)])] : []),
  ];
  return { text: lines.join("\n"), intact: isComplete && faults.length === 0 };
}

/** Of one shard of a save. */
export async function inspectShard(path: string, { metadata }: Header): Promise<{ lines: string[]; intact: boolean }> {
  try {
    const shard = await openShard(/^model/.test(metadata.get("shard")!) ? "model" : "optimizer", path);
    await readFiles(checkAll(allPieces({ shards: [shard] })));
    const which = `shard of rank ${shard.rank} (from 0), ${shard.kind}`;
    return { lines: ["every checksum holds", which, ...aboutSave(shard)], intact: true };
  } catch (error) {
    return { lines: [`damaged: ${(error as Error).message}`], intact: false };
  }
}

function aboutSave(common: ShardSet["common"]): string[] {
  const { run, ranks, params } = common;
  return [
    `run ${visible(JSON.stringify(run))}, ${ranks} ${ranks === 1 ? "rank" : "ranks"}`,
    `parameters: ${params ? "included" : "not included"}`,
    ...groupLines(common),
  ];
}

/** A line for each file; of tensors that it has a part of, which rows. */
function rowsOf({ shards }: ShardSet): string[][] {
  return shards.map(({ label, kind, tensors, shares }) => {
    let bytes = 0;
    for (const { start, end } of tensors.values()) bytes += end - start;
    const parts = Array.from(shares, ([name, share]) => {
      const [first, end] = heldRows(share);
      return first < end ? [`${visible(name)}[${first}:${end}]`] : [];
    }).flat();
    return [`${kind}/${basename(label)}`, String(tensors.size), String(bytes), parts.join(" ")];
  });
}

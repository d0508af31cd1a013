/**
 * Checkpoints as files, in Node, Deno and Bun: a crash at any moment leaves the whole old or the whole new one.
 *
 * @packageDocumentation
 */
import { fileURLToPath } from "node:url";
import { checkCheckpoint } from "./checkpoint/load.js";
import { exclusively, planCheckpoint } from "./checkpoint/save.js";
import type { CheckpointOptions } from "./checkpoint.js";
import { fail, failType, show } from "./checks/errors.js";
import { inFile } from "./checks/inFile.js";
import type { CheckpointReport, LoadOptions, LoadReport } from "./checks/types.js";
import { isRecord } from "./checks/values.js";
import { replaceFile } from "./files/atomicFile.js";
import { failFile } from "./files/fileErrors.js";
import { readCheckpoint } from "./files/readCheckpoint.js";
import { completeShardsIn, loadShardsFrom, saveShardsIn } from "./files/shardFolder.js";
import { writePlan } from "./files/writePlan.js";
import type { Optimizer } from "./optimizer/optimizer.js";
import { readLoad } from "./optimizer/stateDict.js";
import type { ShardOptions } from "./shards.js";

export type { CheckpointOptions, CheckpointReport } from "./checkpoint.js";
export type { LoadOptions, LoadReport } from "./checks/types.js";
export type { ShardOptions } from "./shards.js";

/**
 * Writes a checkpoint so that after a crash at any moment the path holds the whole old or the whole new file: a temporary
 * file in the same folder, flushed to disk, renamed over, the folder flushed. Goes tensor by tensor from linear memory,
 * one megabyte at a time. Until the promise settles the optimizer refuses to step (`ERR_BUSY`), and nothing may write to
 * its parameters; if something does, that is noticed, the promise rejects and the old file stays.
 *
 * @param path a path, or a `file:` URL
 * @throws (rejects with) what `encodeCheckpoint` throws, before a file is touched; Error `ERR_FILE` naming the path, with
 * what the file system said as its `cause`
 * @example
 * import { AdamW } from "fused-adam";
 * import { loadCheckpointFile, saveCheckpointFile } from "fused-adam/node";
 *
 * const optimizer = AdamW.createSync({ w: new Float32Array([1, 2, 3]) });
 * await saveCheckpointFile("run.safetensors", optimizer, {
 *   metadata: { epoch: "7" },
 * });
 * const { metadata } = await loadCheckpointFile(
 *   "run.safetensors",
 *   optimizer,
 * );
 */
export async function saveCheckpointFile(
  path: string | URL,
  optimizer: Optimizer,
  options?: CheckpointOptions,
): Promise<void> {
  const target = checkPath(path);
  return exclusively(optimizer, async (groups, whole) => {
    whole.check();
    const plan = planCheckpoint(groups, optimizer.kernel, options);
    try {
      await replaceFile(target, (append) => writePlan(plan, target, append));
    } catch (cause) {
      failFile(target, "a file that can be written", cause);
    }
  });
}

/**
 * Reads a checkpoint and takes it over as `loadCheckpoint` does: all or nothing.
 *
 * @param path a path, or a `file:` URL
 * @throws (rejects with) what `loadCheckpoint` throws, the path before the label; Error `ERR_FILE` naming the path, with
 * what the file system said as its `cause`
 */
export async function loadCheckpointFile(
  path: string | URL,
  optimizer: Optimizer,
  options?: LoadOptions,
): Promise<CheckpointReport> {
  const source = checkPath(path);
  const settings = readLoad(options);
  exclusively(optimizer, () => {});
  const bytes = await readCheckpoint(source);
  return exclusively(optimizer, (groups, whole) => {
    const { report, apply } = inFile(source, () => checkCheckpoint(groups, bytes, settings));
    apply();
    whole.restore();
    return report;
  });
}

/**
 * Writes this rank's shard into a directory that all ranks share: the parameters into its folder `model`, the state into its folder
 * `optimizer`. Files as in `saveCheckpointFile`: one megabyte at a time, flushed, renamed. What was complete in the directory is so no
 * longer: take one for each save. It is complete when `completeShards` has returned.
 *
 * @param directory a path, or a `file:` URL; made if it is not there
 * @throws (rejects with) what `encodeShard` throws, before a file is touched; Error `ERR_FILE` naming the path
 * @example
 * import { AdamW } from "fused-adam";
 * import {
 *   completeShards,
 *   loadShardFiles,
 *   saveShards,
 * } from "fused-adam/node";
 *
 * const optimizer = AdamW.createSync({ w: { shape: [3, 5] } });
 * await saveShards("step-100", optimizer, {
 *   rank: 0,
 *   ranks: 1,
 *   run: "from Monday",
 * }); // on every rank
 * await completeShards("step-100"); // on one, when all have saved
 * const part = AdamW.createSync({ w: { shape: [3, 5], rows: [1, 3] } });
 * await loadShardFiles("step-100", part); // on any number of ranks
 */
export async function saveShards(directory: string | URL, optimizer: Optimizer, options: ShardOptions): Promise<void> {
  return saveShardsIn(checkPath(directory, "directory"), optimizer, options);
}

/**
 * Completes a save when every rank has saved its shard: to be called by one rank, after a barrier. Reads all shards and checks that they
 * are those of one save, with every row once. Where ranks own rows of a tensor, it puts whole tensors together, because Hugging
 * Face's readers know no parts. Then it writes the indices: the model's, and last of all the optimizer's. After a crash it can be called again.
 *
 * @param directory a path, or a `file:` URL
 * @throws (rejects with) RangeError `ERR_CHECKPOINT` for shards that are missing, doubled, overlapping or of different saves, and for
 * what is no whole shard; `ERR_CHECKSUM` for one that was changed; Error `ERR_FILE`
 */
export async function completeShards(directory: string | URL): Promise<void> {
  return completeShardsIn(checkPath(directory, "directory"));
}

/**
 * Takes over the rows that the optimizer owns, as `loadShards` does: all or nothing. Opens the headers of all shards, and of the data reads
 * what it needs, in blocks of 64 KiB that have checksums of their own. Damage elsewhere is not noticed: `npx fused-adam inspect`
 * reads everything. Until the promise settles the optimizer refuses other calls (`ERR_BUSY`).
 *
 * @param directory a path, or a `file:` URL
 * @throws (rejects with) Error `ERR_FILE` for a save that was not completed, and for files that cannot be read; what `loadShards`
 * throws, the path before the label
 */
export async function loadShardFiles(directory: string | URL, optimizer: Optimizer): Promise<LoadReport> {
  return loadShardsFrom(checkPath(directory, "directory"), optimizer);
}

const PATH = "a path or a file: URL";

function checkPath(path: unknown, label = "path"): string {
  if (typeof path === "string" && path !== "") return path;
  // By its properties: URLs of jsdom, or of another realm, are instances of other classes.
  const href = isRecord(path) ? (path as Partial<URL>).href : undefined;
  if (typeof href !== "string") failType(label, PATH, path);
  try {
    return fileURLToPath(href);
  } catch (cause) {
    fail(TypeError, "ERR_INVALID_TYPE", label, PATH, show(href), cause);
  }
}

/**
 * Checkpoints as files, in Node, Deno and Bun: a crash at any moment leaves the whole old or the whole new one.
 *
 * @packageDocumentation
 */
import { fileURLToPath } from "node:url";
import { DIGITS_AT, hashAround } from "./checkpoint/format.js";
import { type CheckpointReport, checkCheckpoint } from "./checkpoint/load.js";
import { exclusively, type Plan, planCheckpoint } from "./checkpoint/save.js";
import type { CheckpointOptions } from "./checkpoint.js";
import { fail, failType, show } from "./checks/errors.js";
import type { LoadOptions } from "./checks/types.js";
import { isRecord } from "./checks/values.js";
import { type Append, replaceFile } from "./files/atomicFile.js";
import { failFile, inFile } from "./files/fileErrors.js";
import { readCheckpoint } from "./files/readCheckpoint.js";
import type { Optimizer } from "./optimizer/optimizer.js";
import { readLoad } from "./optimizer/stateDict.js";

export type { CheckpointOptions, CheckpointReport } from "./checkpoint.js";
export type { LoadOptions, LoadReport } from "./checks/types.js";

/** Bytes that are copied out of linear memory at a time. */
const CHUNK = 1 << 20;

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
 * await saveCheckpointFile("run.safetensors", optimizer, { metadata: { epoch: "7" } });
 * const { metadata } = await loadCheckpointFile("run.safetensors", optimizer);
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

const PATH = "a path or a file: URL";

function checkPath(path: unknown): string {
  if (typeof path === "string" && path !== "") return path;
  // By its properties: URLs of jsdom, or of another realm, are instances of other classes.
  const href = isRecord(path) ? (path as Partial<URL>).href : undefined;
  if (typeof href !== "string") failType("path", PATH, path);
  try {
    return fileURLToPath(href);
  } catch (cause) {
    fail(TypeError, "ERR_INVALID_TYPE", "path", PATH, show(href), cause);
  }
}

async function writePlan({ header, parts, digits }: Plan, path: string, append: Append): Promise<void> {
  await append(header);
  const hash = hashAround(DIGITS_AT, header);
  const chunk = new Uint8Array(CHUNK);
  let filled = 0;
  // The hash is of the copy that is written: the original may change meanwhile.
  const flush = async () => {
    const bytes = chunk.subarray(0, filled);
    hash.update(bytes);
    await append(bytes);
    filled = 0;
  };
  for (const part of parts) {
    const { length } = part.bytes();
    for (let at = 0; at < length; ) {
      // A new view for each piece: a host's memory may grow between two writes, which detaches views.
      const piece = part.bytes().subarray(at, at + CHUNK - filled);
      chunk.set(piece, filled);
      filled += piece.length;
      at += piece.length;
      if (filled === CHUNK) await flush();
    }
  }
  await flush();
  if (hash.digest() !== digits) fail(Error, "ERR_BUSY", path, "values that stay as they are while saved", "others");
}

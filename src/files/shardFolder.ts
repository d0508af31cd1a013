// The default export, so that tests can replace its functions.
import fs from "node:fs/promises";
import { join } from "node:path";
import { exclusively } from "../checkpoint/save.js";
import { encodeUtf8 } from "../checkpoint/text.js";
import { fail } from "../checks/errors.js";
import { inFile } from "../checks/inFile.js";
import type { LoadReport } from "../checks/types.js";
import type { Optimizer } from "../optimizer/optimizer.js";
import { BLOCK } from "../shards/blocks.js";
import { invalid, type Kind, parseShard, type Shard } from "../shards/format.js";
import { readShards } from "../shards/load.js";
import { isCut, planMerged } from "../shards/merge.js";
import { planShard, readShardOptions } from "../shards/plan.js";
import { checkAll, type Reading, readPiece } from "../shards/read.js";
import { allPieces, checkPair, checkSet, type ShardSet } from "../shards/set.js";
import { ifThere, moveFile, replaceFile } from "./atomicFile.js";
import { failFile } from "./fileErrors.js";
import { readStart } from "./readCheckpoint.js";
import { withFile } from "./readFile.js";
import { checkIndex, readIndex, writeIndex } from "./shardIndex.js";
import { indexName, parseShardName, shardName } from "./shardNames.js";
import { writePlan } from "./writePlan.js";

/** Each has a folder of its own, called like it. The optimizer's index comes last: it says that the save is complete. */
export const KINDS: readonly Kind[] = ["model", "optimizer"];
/** Beside a shard of the model: what replaces it when all such files are there. */
const WHOLE = ".whole";

export async function saveShardsIn(directory: string, optimizer: Optimizer, options: unknown): Promise<void> {
  return exclusively(optimizer, async (groups, whole) => {
    const settings = readShardOptions(options);
    whole.check();
    const plans = planShard(groups, optimizer.kernel, settings);
    const { rank, ranks } = settings;
    try {
      for (const kind of ["optimizer", "model"] as const)
        await removeOld(join(directory, kind), kind, plans[kind] && ranks);
      for (const kind of KINDS) {
        const plan = plans[kind];
        if (plan === undefined) continue;
        const path = join(directory, kind, shardName(kind, rank, ranks));
        await fs.mkdir(join(directory, kind), { recursive: true });
        await replaceFile(path, (append) => writePlan(plan, path, append));
      }
    } catch (cause) {
      failFile(directory, "a folder that can be written to", cause);
    }
  });
}

/**
 * Removes what would make shards that are being written look complete, or not those of one save: the index, shards of another number of
 * ranks, what an interrupted completion left. Every rank does this, at any time before it writes: none of it is of this save.
 *
 * @param ranks of this save; undefined if it has no such shards
 */
async function removeOld(folder: string, kind: Kind, ranks: number | undefined): Promise<void> {
  const names = (await ifThere(fs.readdir(folder))) ?? [];
  for (const name of [indexName(kind), ...names]) {
    const isWhole = name.endsWith(WHOLE);
    const shard = parseShardName(kind, isWhole ? name.slice(0, -WHOLE.length) : name);
    if (name === indexName(kind) || (shard !== undefined && (isWhole || shard.ranks !== ranks))) {
      await fs.rm(join(folder, name), { force: true });
    }
  }
}

export async function completeShardsIn(directory: string): Promise<void> {
  const { optimizer, model } = await findSave(directory);
  await readFiles(checkAll(allPieces(optimizer)));
  if (model !== undefined && !isCut(model)) await readFiles(checkAll(allPieces(model)));
  try {
    if (model !== undefined) {
      if (isCut(model)) await merge(model);
      const folder = join(directory, "model");
      for (const { rank, ranks } of model.shards) await putInPlace(join(folder, shardName("model", rank, ranks)));
      // Another look at what lies there now, the files that were put together included.
      await writeIndexOf(directory, "model", await findShards(directory, "model"));
    }
    await writeIndexOf(directory, "optimizer", optimizer);
  } catch (cause) {
    failFile(directory, "a folder that can be written to", cause);
  }
}

async function writeIndexOf(directory: string, kind: Kind, set: ShardSet): Promise<void> {
  const text = encodeUtf8(writeIndex(set, kind));
  await replaceFile(join(directory, kind, indexName(kind)), (append) => append(text));
}

/**
 * Writes files of whole tensors beside those of parts, whose places they take when all of them are there: after a crash the model can
 * still be had, from those in their place and those that wait for it.
 */
async function merge(model: ShardSet): Promise<void> {
  const buffer = new Uint8Array(BLOCK);
  for (const { rank, header, pieces } of planMerged(model)) {
    await replaceFile(model.shards[rank]!.label + WHOLE, async (append) => {
      await append(header);
      for (const [tensor, piece] of pieces) {
        let block: Uint8Array | undefined;
        const reading = readPiece(piece, tensor, 0, piece.bytes, buffer, (bytes) => {
          block = bytes;
        });
        await readFiles(reading, async () => {
          if (block !== undefined) await append(block);
        });
      }
    });
  }
}

/** Does nothing if no file waits for the place. */
async function putInPlace(path: string): Promise<void> {
  if (await isThere(path + WHOLE)) await moveFile(path + WHOLE, path);
}

export async function loadShardsFrom(directory: string, optimizer: Optimizer): Promise<LoadReport> {
  return exclusively(optimizer, async (groups, whole) => {
    const { optimizer: state, model } = await openSave(directory);
    const { report, apply } = await readFiles(readShards(groups, state, model));
    apply();
    whole.restore();
    return report;
  });
}

/** The shards of a save: their headers, checked. */
interface Save {
  readonly optimizer: ShardSet;
  readonly model: ShardSet | undefined;
}

/** Those that its indices list, so that it is complete. */
export function openSave(directory: string): Promise<Save> {
  return bothKinds((kind) => openIndexed(directory, kind));
}

/** Those that are there. */
export function findSave(directory: string): Promise<Save> {
  return bothKinds((kind) => findShards(directory, kind));
}

async function bothKinds(open: (kind: Kind) => Promise<ShardSet>): Promise<Save> {
  const optimizer = await open("optimizer");
  const model = optimizer.common.params ? await open("model") : undefined;
  checkPair(optimizer, model);
  return { optimizer, model };
}

async function openIndexed(directory: string, kind: Kind): Promise<ShardSet> {
  const path = join(directory, kind, indexName(kind));
  await fs.stat(directory).catch((cause) => failFile(directory, "a folder that can be read", cause));
  if (!(await isThere(path))) {
    const got = `no ${kind}/${indexName(kind)}: the save was not completed`;
    fail(Error, "ERR_FILE", directory, "a complete save", got);
  }
  const index = await readIndex(path, kind);
  const set = checkSet(
    kind,
    await openAll(
      kind,
      Array.from(index.files.keys(), (name) => join(directory, kind, name)),
    ),
  );
  checkIndex(path, index, set, kind);
  return set;
}

/** The shards that are there, of a save that need not be complete. */
async function findShards(directory: string, kind: Kind): Promise<ShardSet> {
  const folder = join(directory, kind);
  const names = await fs.readdir(folder).catch((cause) => failFile(folder, "a folder with shards", cause));
  const found = names.filter((name) => parseShardName(kind, name) !== undefined).sort();
  if (found.length === 0) invalid(folder, "the shards of a save", "none");
  let shards = await openAll(
    kind,
    found.map((name) => join(folder, name)),
  );
  if (shards.some(({ merged }) => merged)) {
    // A completion was interrupted when some were in their place: the others wait for theirs.
    const current = shards.map(async ({ label, merged }) =>
      !merged && (await isThere(label + WHOLE)) ? label + WHOLE : label,
    );
    shards = await openAll(kind, await Promise.all(current));
  }
  return checkSet(kind, shards);
}

async function openAll(kind: Kind, paths: readonly string[]): Promise<Shard[]> {
  const shards: Shard[] = [];
  for (const path of paths) shards.push(await openShard(kind, path));
  return shards;
}

export function openShard(kind: Kind, path: string): Promise<Shard> {
  return withFile(path, async (length, read) => {
    const start = await readStart(path, length, read);
    return inFile(path, () => parseShard(path, kind, start, length));
  });
}

/**
 * Gives a reading what it wants from the files that the shards were opened at.
 *
 * @param after is called each time the reading has gone on
 */
export async function readFiles<T>(reading: Reading<T>, after: () => Promise<void> = async () => {}): Promise<T> {
  let next = reading.next();
  while (!next.done) {
    const { shard } = next.value;
    let thrown: { error: unknown } | undefined;
    await withFile(shard.label, async (_, read) => {
      while (!next.done && next.value.shard === shard && thrown === undefined) {
        await read(next.value.into, next.value.offset);
        try {
          next = reading.next();
          await after();
        } catch (error) {
          // What the checks say is not the file system's.
          thrown = { error };
        }
      }
    });
    if (thrown !== undefined) throw thrown.error;
  }
  return next.value;
}

export async function isThere(path: string): Promise<boolean> {
  return (await ifThere(fs.stat(path))) !== undefined;
}

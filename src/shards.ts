/**
 * Checkpoints of several processes, each of which owns a part of the state: every one encodes what it has, and any other number of
 * processes loads from all of them the rows that it owns. As files they are in `fused-adam/node`.
 *
 * @packageDocumentation
 */
import { headerEnd } from "./checkpoint/safetensors.js";
import { encodePlan, exclusively } from "./checkpoint/save.js";
import { checkUint8Array } from "./checks/arrays.js";
import { inFile } from "./checks/inFile.js";
import type { Bytes } from "./checks/libraries.js";
import type { LoadReport } from "./checks/types.js";
import { checkArray, checkObject, own } from "./checks/values.js";
import { isShared } from "./memory/shared.js";
import type { Optimizer } from "./optimizer/optimizer.js";
import { type Kind, parseShard, type Shard } from "./shards/format.js";
import { readShards } from "./shards/load.js";
import { planShard, readShardOptions } from "./shards/plan.js";
import { checkAll, type Reading } from "./shards/read.js";
import { allPieces, checkPair, checkSet } from "./shards/set.js";

/** Which shard it is, and of which save. */
export interface ShardOptions {
  /** Which of the processes this is, from 0 to `ranks` - 1. */
  readonly rank: number;
  /** How many processes there are, each of which makes a shard. At most 99,999. */
  readonly ranks: number;
  /**
   * What only the shards of this run have: any string, the same on all ranks. Best a new one each time the program starts, because shards
   * that two attempts left behind at the same step are told apart by it alone.
   */
  readonly run: string;
  /** Whether the parameters are saved, too. Default true; false leaves only what the optimizer itself needs to go on. */
  readonly params?: boolean | undefined;
}

/** A rank's shard: safetensors files. */
export interface EncodedShard {
  /** Moments, step counts and hyper-parameters. */
  readonly optimizer: Bytes;
  /** The parameters; none with `params: false`. */
  readonly model?: Bytes;
}

/** All shards of a save, in any order. */
export interface EncodedShards {
  /** As many as there were ranks. */
  readonly optimizer: readonly Uint8Array[];
  /** As many again, or none: then the parameters stay as they are. */
  readonly model?: readonly Uint8Array[] | undefined;
}

/**
 * What this rank owns, with checksums: the state in one file, the parameters in another. All ranks have the same parameters, groups and
 * step counts, and together every row once; `loadShards` holds them to it.
 *
 * @throws RangeError `ERR_NON_FINITE` for a state that would be refused when it is loaded, `ERR_OUT_OF_RANGE`, `ERR_OUT_OF_MEMORY`;
 * TypeError; Error `ERR_STATE_LOST`, `ERR_BUSY`, `ERR_DISPOSED`
 * @example
 * import { AdamW } from "fused-adam";
 * import { encodeShard, loadShards } from "fused-adam/shards";
 *
 * const halves = [
 *   [0, 2],
 *   [2, 3],
 * ].map(([first, end]) =>
 *   AdamW.createSync({ w: { shape: [3, 5], rows: [first!, end!] } }),
 * );
 * const run = "from Monday";
 * const shards = halves.map((optimizer, rank) =>
 *   encodeShard(optimizer, { rank, ranks: 2, run }),
 * );
 * const whole = AdamW.createSync({ w: { shape: [3, 5] } });
 * loadShards(whole, {
 *   optimizer: shards.map(({ optimizer }) => optimizer),
 *   model: shards.map(({ model }) => model!),
 * });
 */
export function encodeShard(optimizer: Optimizer, options: ShardOptions): EncodedShard {
  return exclusively(optimizer, (groups, whole) => {
    const settings = readShardOptions(options);
    whole.check();
    const plans = planShard(groups, optimizer.kernel, settings);
    const encoded = { optimizer: encodePlan(plans.optimizer) };
    return plans.model === undefined ? encoded : { ...encoded, model: encodePlan(plans.model) };
  });
}

/**
 * Takes over the rows that the optimizer owns, from whoever had them, by name and shape: moments, step counts and hyper-parameters, and
 * the parameters if their shards are there. All or nothing: it throws before anything changes, also for damage in rows that it does
 * not own. Schedules stay.
 *
 * @param shards those of all ranks, in any order
 * @throws RangeError `ERR_CHECKPOINT` for what is not a whole shard, and for shards that are missing, doubled, overlapping or of different
 * saves; `ERR_CHECKSUM` for one that was changed; `ERR_SHAPE_MISMATCH`, `ERR_STATE_MISMATCH`, `ERR_NON_FINITE`, `ERR_OUT_OF_RANGE` for
 * those that do not fit; TypeError; Error `ERR_BUSY`, `ERR_DISPOSED`
 */
export function loadShards(optimizer: Optimizer, shards: EncodedShards): LoadReport {
  return exclusively(optimizer, (groups, whole) => {
    const object = checkObject("shards", shards, ["optimizer", "model"]);
    const bytesOf = new Map<Shard, Uint8Array<ArrayBuffer>>();
    const setOf = (kind: Kind, value: unknown) =>
      checkSet(
        kind,
        checkArray(kind, value, "an array of Uint8Arrays").map((item, i) => {
          const label = `${kind}[${i}]`;
          const given = checkUint8Array(label, item);
          // Bytes that another thread can change between check and use are copied first.
          const bytes = isShared(given) ? given.slice() : given;
          const shard = inFile(label, () =>
            parseShard(label, kind, bytes.subarray(0, headerEnd(bytes, bytes.length)), bytes.length),
          );
          bytesOf.set(shard, bytes);
          return shard;
        }),
      );
    const state = setOf("optimizer", own(object, "optimizer"));
    const given = own(object, "model");
    const model = given === undefined ? undefined : setOf("model", given);
    if (model !== undefined) checkPair(state, model);
    const run = <T>(reading: Reading<T>): T => {
      for (;;) {
        const next = reading.next();
        if (next.done) return next.value;
        const { shard, offset, into } = next.value;
        into.set(bytesOf.get(shard)!.subarray(offset, offset + into.length));
      }
    };
    for (const set of model === undefined ? [state] : [state, model]) run(checkAll(allPieces(set)));
    const { report, apply } = run(readShards(groups, state, model));
    apply();
    whole.restore();
    return report;
  });
}

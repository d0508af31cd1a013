import { show, showShape } from "../checks/errors.js";
import { sameShape } from "../checks/values.js";
import {
  entriesOf,
  heldRows,
  invalid,
  type Kind,
  rowsIn,
  type Segment,
  type Shard,
  type Share,
  segmentsOf,
} from "./format.js";

/** All shards of one kind of a save. */
export interface ShardSet {
  /** By rank. */
  readonly shards: readonly Shard[];
  /** What all of them say. */
  readonly common: Pick<Shard, "steps" | "groups" | "params" | "run" | "ranks">;
  /** By name of the parameter: what the first shard has of it; the shape is that of all. */
  readonly shares: ReadonlyMap<string, Share>;
}

/**
 * Checks that shards are all those of one save, and no other, and that together they have every row of every tensor once.
 *
 * @throws RangeError `ERR_CHECKPOINT`
 */
export function checkSet(kind: Kind, given: readonly Shard[]): ShardSet {
  const [first] = given;
  if (first === undefined) invalid(kind, "the shards of a save", "none");
  for (const shard of given) checkSame(first, shard);
  const byRank = new Map<number, Shard>();
  for (const shard of given) {
    const other = byRank.get(shard.rank);
    if (other !== undefined)
      invalid(shard.label, "every rank once", `rank ${shard.rank} again: it is in ${other.label}`);
    byRank.set(shard.rank, shard);
  }
  const shards = Array.from({ length: Math.min(first.ranks, given.length + 1) }, (_, rank) => {
    return byRank.get(rank) ?? invalid(kind, `the shards of ${first.ranks} ranks`, `none of rank ${rank}`);
  });
  for (const name of first.shares.keys()) checkCover(name, shards);
  return { shards, common: first, shares: first.shares };
}

/** State and parameters are saved together. */
export function checkPair(optimizer: ShardSet, model: ShardSet | undefined): void {
  if (model === undefined) {
    if (optimizer.common.params) invalid("model", "the shards of the model, which the save has", "none");
    return;
  }
  checkSame(optimizer.shards[0]!, model.shards[0]!);
  if (!model.common.params) invalid("model", "no shards, because the save has no parameters", "some");
}

function checkSame(one: Shard, { label, common, shares }: Shard): void {
  for (const [key, value] of one.common) {
    if (common.get(key) === value) continue;
    invalid(label, `the ${key} of ${one.label}, ${show(value)}`, `${show(common.get(key))}: shards of different saves`);
  }
  for (const [name, { shape }] of one.shares) {
    const other = shares.get(name)?.shape ?? [];
    if (!sameShape(shape, other))
      invalid(`${label}.${name}`, `shape ${showShape(shape)}, as in ${one.label}`, showShape(other));
  }
}

function checkCover(name: string, shards: readonly Shard[]): void {
  const all = rowsIn(shards[0]!.shares.get(name)!);
  const parts = shards.map(({ label, shares }) => {
    const [first, end] = heldRows(shares.get(name)!);
    return { label, first, end };
  });
  parts.sort((a, b) => a.first - b.first || a.end - b.end);
  let next = 0;
  let before = "the start";
  for (const { label, first, end } of parts) {
    if (first === end) continue;
    if (first < next)
      invalid(
        `${label}: ${name}`,
        `rows from ${next} on, where ${before} ends`,
        `rows ${first} to ${end}, which overlap`,
      );
    if (first > next) break;
    next = end;
    before = label;
  }
  if (next < all) invalid(name, `all of its ${all} rows`, `none that begins with row ${next}: it is missing`);
}

/** A part of a tensor, and the shard that has it. */
export interface Piece extends Segment {
  readonly shard: Shard;
  readonly dtype: string;
}

/** The parts of a tensor that have any of the rows from `first` up to, and without, `end`. In order. */
export function piecesOf({ shards }: ShardSet, name: string, tensor: string, first = 0, end = Infinity): Piece[] {
  const pieces = shards.flatMap((shard) => {
    const entry = shard.tensors.get(tensor);
    if (entry === undefined) return [];
    const segments = segmentsOf(shard, name, tensor, entry).filter(
      (segment) => segment.first < end && first < segment.end,
    );
    return segments.map((segment) => ({ ...segment, shard, dtype: entry.dtype }));
  });
  return pieces.sort((a, b) => a.first - b.first);
}

/** Every part that shards have, with the name of its tensor, shard by shard. */
export function* allPieces({ shards }: Pick<ShardSet, "shards">): Iterable<readonly [string, Piece]> {
  for (const shard of shards) {
    for (const { name, tensor, entry } of entriesOf(shard)) {
      for (const segment of segmentsOf(shard, name, tensor, entry))
        yield [tensor, { ...segment, shard, dtype: entry.dtype }];
    }
  }
}

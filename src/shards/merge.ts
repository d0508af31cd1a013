import type { TensorSpec } from "../checkpoint/safetensors.js";
import { FLOAT32 } from "../memory/regions.js";
import { heldRows, holds, rowsIn, type Share } from "./format.js";
import { serializeShardHeader } from "./plan.js";
import { type Piece, piecesOf, type ShardSet } from "./set.js";

/** A file of whole tensors, in place of a rank's parts: its header, and then the data of the pieces. */
export interface MergedFile {
  readonly rank: number;
  readonly header: Uint8Array;
  readonly pieces: readonly (readonly [string, Piece])[];
}

/** Whether ranks have parts of tensors. Other libraries know whole tensors only. */
export function isCut({ shards }: ShardSet): boolean {
  return shards.some(({ shares, rank }) =>
    [...shares.values()].some(
      (share) => holds(share, rank) && heldRows(share)[1] - heldRows(share)[0] !== rowsIn(share),
    ),
  );
}

/**
 * As many files as there are ranks, of whole tensors, with about as many bytes each, in the order of the tensors. The parts keep their
 * checksums: rows can still be read from the middle of a tensor.
 */
export function planMerged(model: ShardSet): MergedFile[] {
  const { shards, shares } = model;
  const tensors = Array.from(shares, ([name, { shape }]) => {
    const pieces = piecesOf(model, name, name);
    return { name, shape, pieces, bytes: pieces.reduce((sum, { bytes }) => sum + bytes, 0) };
  });
  const total = tensors.reduce((sum, { bytes }) => sum + bytes, 0);
  let before = 0;
  const rankOf = new Map<string, number>();
  for (const { name, shape, bytes } of tensors) {
    const rank = total === 0 || shape[0] === 0 ? 0 : Math.floor((shards.length * (before + bytes / 2)) / total);
    rankOf.set(name, Math.min(rank, shards.length - 1));
    before += bytes;
  }
  return shards.map((shard) => {
    const { rank } = shard;
    const own = tensors.filter(({ name }) => rankOf.get(name) === rank);
    const specs = own.map(({ name, shape }): TensorSpec => ({ name, shape, dtype: FLOAT32.dtype }));
    const sums = new Map(own.map(({ name, pieces }) => [name, pieces.map(({ sums }) => sums).join("")]));
    const shareOf = ({ name, shape, pieces }: (typeof tensors)[number]): [string, Share] => {
      const rows = rankOf.get(name) === rank ? [0, ...pieces.map(({ end }) => end)] : [0, 0];
      return [name, { shape, rows: rows.length === 1 ? [0, 0] : rows }];
    };
    const info = { ...shard, merged: true, shares: new Map(tensors.map(shareOf)), sums };
    const pieces = own.flatMap(({ name, pieces }) => pieces.map((piece) => [name, piece] as const));
    return { rank, header: serializeShardHeader("model", info, specs), pieces };
  });
}

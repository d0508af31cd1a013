import { BLOCK, checkBlock, DIGITS } from "./blocks.js";
import type { Piece } from "./set.js";

/**
 * Bytes of a shard that are wanted: fill `into` with those from `offset` on. What reads shards is a generator of such wishes, which goes
 * on when one is fulfilled: so bytes at hand are read at once, and files asynchronously, by the same code.
 */
export interface Wanted {
  readonly shard: Piece["shard"];
  readonly offset: number;
  readonly into: Uint8Array<ArrayBuffer>;
}

export type Reading<T> = Generator<Wanted, T, void>;

/**
 * Reads a part's bytes from `from` up to `to`, by whole blocks, and checks each of them.
 *
 * @param take is given the bytes that were asked for, and how many came before them; they are overwritten afterwards
 */
export function* readPiece(
  { shard, start, bytes, sums, first }: Piece,
  tensor: string,
  from: number,
  to: number,
  buffer: Uint8Array<ArrayBuffer>,
  take: (bytes: Uint8Array<ArrayBuffer>, at: number) => void,
): Reading<void> {
  for (let at = from === to ? to : from - (from % BLOCK); at < to; at += BLOCK) {
    const block = buffer.subarray(0, Math.min(BLOCK, bytes - at));
    yield { shard, offset: start + at, into: block };
    const digit = (at / BLOCK) * DIGITS;
    checkBlock(`${shard.label}: ${tensor}, rows from ${first} on`, block, sums.slice(digit, digit + DIGITS));
    const cut = Math.max(0, from - at);
    take(block.subarray(cut, Math.min(block.length, to - at)), at + cut - from);
  }
}

/** Reads everything that shards have, and checks it. */
export function* checkAll(pieces: Iterable<readonly [string, Piece]>): Reading<void> {
  const buffer = new Uint8Array(BLOCK);
  for (const [tensor, piece] of pieces) yield* readPiece(piece, tensor, 0, piece.bytes, buffer, () => {});
}

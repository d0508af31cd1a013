import * as ADDRESS from "../generated/addresses.js";
import { ADDRESS_COUNT, CONSTANT_COUNT, callHalf, callUpdate, INTEGER_COUNT } from "../generated/call.js";
import { flushes, hasIntegers, kindOf, rowIn, SUM_SQUARES } from "./op.js";
import { gradFormatAt, type Kernels, momentFormatAt, NORM_BLOCK, rowAt } from "./table.js";

/** Words of a call: its op, its length, its addresses, its constants, its integers. An even number, because sums of 8 bytes follow. */
export const FIRST_ADDRESS = 2;
/** Of sums of squares, which have one address: where the first partial sum goes. */
export const FIRST_SUM = FIRST_ADDRESS + 1;
export const FIRST_CONSTANT = FIRST_ADDRESS + ADDRESS_COUNT;
export const FIRST_INTEGER = FIRST_CONSTANT + CONSTANT_COUNT;
export const WORDS = 2 * Math.ceil((FIRST_INTEGER + INTEGER_COUNT) / 2);

/**
 * The kernel calls of a step as numbers, in memory that threads can share:
 *
 *     header (src/threads/protocol.ts; none for one thread) | calls, `WORDS` each | partial sums, float64 each
 *
 * Threads cut every call into chunks, numbered through all calls. Which thread does which is left to chance: what is done to
 * an element does not depend on it. This is what workers need of them; src/kernels/program.ts writes them.
 */
export class Calls {
  protected readonly words: Uint32Array;
  /** The same words as float32, for the constants. */
  protected readonly floats: Float32Array;
  protected readonly partialSums: Float64Array;

  /**
   * @param header how many words there are before the calls
   * @param room how many calls fit; partial sums take what is left
   */
  constructor(
    readonly memory: ArrayBuffer | SharedArrayBuffer,
    header: number,
    readonly room: number,
  ) {
    this.words = new Uint32Array(memory, 4 * header, room * WORDS);
    this.floats = new Float32Array(memory, 4 * header, room * WORDS);
    this.partialSums = new Float64Array(memory, 4 * (header + room * WORDS));
  }

  /**
   * Does chunks, as `take` hands out their numbers in rising order, until it returns `end` or more.
   *
   * @param size of a chunk, in elements: a multiple of `NORM_BLOCK`
   */
  runChunks(kernels: Kernels, size: number, take: () => number, end: number): void {
    const { words } = this;
    let start = 0;
    /** Of the call: its length, its first chunk, and the first that is not its own. */
    let length = words[1]!;
    let first = 0;
    let next = Math.ceil(length / size);
    for (let chunk = take(); chunk < end; chunk = take()) {
      while (chunk >= next) {
        start += WORDS;
        length = words[start + 1]!;
        first = next;
        next += Math.ceil(length / size);
      }
      const from = (chunk - first) * size;
      this.runRange(kernels, start, from, Math.min(from + size, length));
    }
  }

  /** Does the elements from `from` up to `end` of the call whose words begin at `start`. */
  protected runRange(kernels: Kernels, start: number, from: number, end: number): void {
    const op = this.words[start]!;
    if (kindOf(op) === SUM_SQUARES) {
      for (let i = from; i < end; i += NORM_BLOCK) this.#sum(kernels, start, i, Math.min(i + NORM_BLOCK, end));
    } else if (flushes(op)) {
      // In pieces that the first cache holds, so that a moment is still there when it is flushed.
      for (let i = from; i < end; i += NORM_BLOCK) this.#update(kernels, start, i, Math.min(i + NORM_BLOCK, end));
    } else this.#update(kernels, start, from, end);
  }

  #sum(kernels: Kernels, start: number, from: number, end: number): void {
    const { words } = this;
    const format = rowIn(words[start]!);
    const grad = words[start + FIRST_ADDRESS]! + bytesOf(format) * from;
    this.partialSums[words[start + FIRST_SUM]! + from / NORM_BLOCK] = kernels.sumSquares[format]!(grad, end - from);
  }

  #update(kernels: Kernels, start: number, from: number, end: number): void {
    const { words } = this;
    const op = words[start]!;
    const row = rowIn(op);
    const at = start + FIRST_ADDRESS;
    const length = end - from;
    const first = start + FIRST_CONSTANT;
    const update = kernels.update[row]!;
    if (hasIntegers(op)) {
      const gradBytes = bytesOf(gradFormatAt(row));
      callHalf(update, words, at, from, length, this.floats, first, gradBytes, bytesOf(momentFormatAt(row)));
    } else callUpdate(update, words, at, from, length, this.floats, first);
    if (!flushes(op)) return;
    const moments = momentFormatAt(row);
    const flush = kernels.flush[moments]!;
    const offset = bytesOf(moments) * from;
    flush(words[at + ADDRESS.expAvg]! + offset, length);
    flush(words[at + ADDRESS.expAvgSq]! + offset, length);
    if (rowAt(row).amsgrad) flush(words[at + ADDRESS.maxExpAvgSq]! + offset, length);
  }
}

/** Bytes of an element, by the index in `FORMATS`. */
function bytesOf(format: number): number {
  return format === 0 ? 4 : 2;
}

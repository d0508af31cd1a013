import * as ADDRESS from "../generated/addresses.js";
import { ADDRESS_COUNT, CONSTANT_COUNT, callUpdate } from "../generated/call.js";
import { flushes, kindOf, rowIn, SUM_SQUARES } from "./op.js";
import { type Kernels, NORM_BLOCK, UPDATE_ROWS } from "./table.js";

/** Words of a call: its op, its length, its addresses, its constants. Together a cache line. */
export const FIRST_ADDRESS = 2;
/** Of sums of squares, which have one address: where the first partial sum goes. */
export const FIRST_SUM = FIRST_ADDRESS + 1;
export const FIRST_CONSTANT = FIRST_ADDRESS + ADDRESS_COUNT;
export const WORDS = FIRST_CONSTANT + CONSTANT_COUNT;

/**
 * The kernel calls of a step as numbers, in memory that threads can share:
 *
 *     header (src/threads/protocol.ts; none for one thread) | calls, 16 words each | partial sums, float64 each
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
    const grad = words[start + FIRST_ADDRESS]! + 4 * from;
    this.partialSums[words[start + FIRST_SUM]! + from / NORM_BLOCK] = kernels.sumSquares(grad, end - from);
  }

  #update(kernels: Kernels, start: number, from: number, end: number): void {
    const { words } = this;
    const op = words[start]!;
    const row = rowIn(op);
    const at = start + FIRST_ADDRESS;
    const offset = 4 * from;
    const length = end - from;
    callUpdate(kernels.update[row]!, words, at, offset, length, this.floats, start + FIRST_CONSTANT);
    if (!flushes(op)) return;
    kernels.flush(words[at + ADDRESS.expAvg]! + offset, length);
    kernels.flush(words[at + ADDRESS.expAvgSq]! + offset, length);
    if (UPDATE_ROWS[row]!.amsgrad) kernels.flush(words[at + ADDRESS.maxExpAvgSq]! + offset, length);
  }
}

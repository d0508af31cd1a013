import type { Pointers } from "../memory/regions.js";
import { CONSTANTS } from "../optimizer/stepConstants.js";
import { type Kernels, NORM_BLOCK, UPDATE_ROWS } from "./table.js";

/** What a call does, where it is not a row of `UPDATE_ROWS`: sums of squares. */
const SUM = UPDATE_ROWS.length;
/** Added to a row: the moments are flushed as well. */
const FLUSH = 32;

/** Words of a call: what it does, five addresses, a length, the constants. A cache line. */
const FIRST_CONSTANT = 7;
const WORDS = FIRST_CONSTANT + CONSTANTS;

/**
 * The kernel calls of a step as numbers, in memory that threads can share:
 *
 *     header (src/threads/protocol.ts; none for one thread) | calls, 16 words each | partial sums, float64 each
 *
 * Threads cut every call into chunks, numbered through all calls. Which thread does which is left to chance: what is done to
 * an element does not depend on it.
 */
export class Program {
  /** How many elements. */
  elements = 0;
  /** How many partial sums. */
  sums = 0;
  /** How many words the calls take. */
  #end = 0;
  readonly #words: Uint32Array;
  /** The same words as float32, for the constants. */
  readonly #floats: Float32Array;
  readonly #sums: Float64Array;

  /**
   * @param header how many words there are before the program
   * @param room how many calls fit; partial sums take what is left
   */
  constructor(
    readonly memory: ArrayBuffer | SharedArrayBuffer,
    header: number,
    readonly room: number,
  ) {
    this.#words = new Uint32Array(memory, 4 * header, room * WORDS);
    this.#floats = new Float32Array(memory, 4 * header, room * WORDS);
    this.#sums = new Float64Array(memory, 4 * (header + room * WORDS));
  }

  /** Bytes of memory for it. */
  static bytes(header: number, calls: number, sums: number): number {
    return 4 * (header + calls * WORDS) + 8 * sums;
  }

  clear(): void {
    this.elements = 0;
    this.sums = 0;
    this.#end = 0;
  }

  /** Adds an update. @param constants `CONSTANTS` values, which are copied */
  update(row: number, at: Pointers, length: number, flush: boolean, constants: Float32Array): void {
    const start = this.#call(flush ? row + FLUSH : row, length);
    const words = this.#words;
    words[start + 2] = at.param;
    words[start + 3] = at.grad;
    words[start + 4] = at.expAvg;
    words[start + 5] = at.expAvgSq;
    words[start + 6] = at.maxExpAvgSq;
    // Not by `set`, which takes longer than a small tensor's update.
    for (let i = 0; i < CONSTANTS; i++) this.#floats[start + FIRST_CONSTANT + i] = constants[i]!;
  }

  /** Adds partial sums of squares, one for each `NORM_BLOCK` elements. */
  sumSquares(grad: number, length: number): void {
    const start = this.#call(SUM, length);
    this.#words[start + 2] = grad;
    this.#words[start + 3] = this.sums;
    this.sums += Math.ceil(length / NORM_BLOCK);
  }

  /** The partial sums of a program that has run, added in their order. */
  total(): number {
    let sum = 0;
    for (let i = 0; i < this.sums; i++) sum += this.#sums[i]!;
    return sum;
  }

  /** Does all of it. */
  run(kernels: Kernels): void {
    const words = this.#words;
    for (let start = 0; start < this.#end; start += WORDS) {
      this.#range(kernels, start, 0, words[start + 1]!);
    }
  }

  /** Into how many chunks of at most `size` elements it is cut. */
  chunks(size: number): number {
    const words = this.#words;
    let chunks = 0;
    for (let start = 0; start < this.#end; start += WORDS) {
      chunks += Math.ceil(words[start + 1]! / size);
    }
    return chunks;
  }

  /**
   * Does chunks, as `take` hands out their numbers in rising order, until it returns `end` or more.
   *
   * @param size of a chunk, in elements: a multiple of `NORM_BLOCK`
   */
  runChunks(kernels: Kernels, size: number, take: () => number, end: number): void {
    const words = this.#words;
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
      this.#range(kernels, start, from, Math.min(from + size, length));
    }
  }

  #call(what: number, length: number): number {
    const start = this.#end;
    this.#end += WORDS;
    this.#words[start] = what;
    this.#words[start + 1] = length;
    this.elements += length;
    return start;
  }

  /** Does the elements from `from` up to `end` of the call whose words begin at `start`. */
  #range(kernels: Kernels, start: number, from: number, end: number): void {
    const what = this.#words[start]!;
    if (what >= FLUSH) {
      // In pieces that the first cache holds, so that a moment is still there when it is flushed.
      for (let i = from; i < end; i += NORM_BLOCK) this.#update(kernels, start, i, Math.min(i + NORM_BLOCK, end));
    } else if (what === SUM) {
      for (let i = from; i < end; i += NORM_BLOCK) this.#sum(kernels, start, i, Math.min(i + NORM_BLOCK, end));
    } else this.#update(kernels, start, from, end);
  }

  #sum(kernels: Kernels, start: number, from: number, end: number): void {
    const w = this.#words;
    this.#sums[w[start + 3]! + from / NORM_BLOCK] = kernels.sumSquares(w[start + 2]! + 4 * from, end - from);
  }

  #update(kernels: Kernels, start: number, from: number, end: number): void {
    const w = this.#words;
    const c = this.#floats;
    const i = start + FIRST_CONSTANT;
    const row = w[start]! % FLUSH;
    const offset = 4 * from;
    const length = end - from;
    const expAvg = w[start + 4]! + offset;
    const expAvgSq = w[start + 5]! + offset;
    const maxExpAvgSq = w[start + 6]! + offset;
    // Indexed, because destructuring a typed array goes through its iterator: 100 ns of a step that takes 500.
    // biome-ignore format: addresses, then constants
    kernels.update[row]!(
      w[start + 2]! + offset, w[start + 3]! + offset, expAvg, expAvgSq, maxExpAvgSq, length,
      c[i]!, c[i + 1]!, c[i + 2]!, c[i + 3]!, c[i + 4]!, c[i + 5]!, c[i + 6]!, c[i + 7]!, c[i + 8]!,
    );
    if (w[start]! < FLUSH) return;
    kernels.flush(expAvg, length);
    kernels.flush(expAvgSq, length);
    if (UPDATE_ROWS[row]!.amsgrad) kernels.flush(maxExpAvgSq, length);
  }
}

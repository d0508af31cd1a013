import { writeUpdate } from "../generated/call.js";
import type { Pointers } from "../memory/regions.js";
import { Calls, FIRST_ADDRESS, FIRST_CONSTANT, FIRST_INTEGER, FIRST_SUM, WORDS } from "./calls.js";
import { FLUSH, SUM_SQUARES, UPDATE, WITH_INTEGERS } from "./op.js";
import { type Kernels, NORM_BLOCK } from "./table.js";

/** The calls of a step as they are written, and run by a thread alone. */
export class Program extends Calls {
  /** How many elements. */
  elements = 0;
  /** How many partial sums. */
  sums = 0;
  /** How many words the calls take. */
  #end = 0;

  /** Bytes of memory for it. */
  static bytes(header: number, calls: number, sums: number): number {
    return 4 * (header + calls * WORDS) + 8 * sums;
  }

  clear(): void {
    this.elements = 0;
    this.sums = 0;
    this.#end = 0;
  }

  /**
   * Adds an update.
   *
   * @param constants a value for each of `CONSTANTS`; they are copied
   */
  update(row: number, at: Pointers, length: number, flush: boolean, constants: Float32Array): void {
    const start = this.#call(flush ? UPDATE + FLUSH + row : UPDATE + row, length);
    writeUpdate(this.words, start + FIRST_ADDRESS, at, this.floats, start + FIRST_CONSTANT, constants);
  }

  /** Adds to the last update a value for each of `INTEGERS`. Where all is float32 it has none, because a call with fewer arguments takes less time. */
  integers(values: readonly number[]): void {
    const start = this.#end - WORDS;
    this.words[start]! += WITH_INTEGERS;
    this.words.set(values, start + FIRST_INTEGER);
  }

  /** Adds partial sums of squares, one for each `NORM_BLOCK` elements. @param format the index in `FORMATS` of the gradients */
  sumSquares(grad: number, length: number, format = 0): void {
    const start = this.#call(SUM_SQUARES + format, length);
    this.words[start + FIRST_ADDRESS] = grad;
    this.words[start + FIRST_SUM] = this.sums;
    this.sums += Math.ceil(length / NORM_BLOCK);
  }

  /** The partial sums of a program that has run, added in their order. */
  total(): number {
    let sum = 0;
    for (let i = 0; i < this.sums; i++) sum += this.partialSums[i]!;
    return sum;
  }

  /** Does all of it. */
  run(kernels: Kernels): void {
    for (let start = 0; start < this.#end; start += WORDS) this.runRange(kernels, start, 0, this.words[start + 1]!);
  }

  /** Into how many chunks of at most `size` elements it is cut. */
  chunks(size: number): number {
    let chunks = 0;
    for (let start = 0; start < this.#end; start += WORDS) chunks += Math.ceil(this.words[start + 1]! / size);
    return chunks;
  }

  #call(op: number, length: number): number {
    const start = this.#end;
    this.#end += WORDS;
    this.words[start] = op;
    this.words[start + 1] = length;
    this.elements += length;
    return start;
  }
}

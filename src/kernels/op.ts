/**
 * An op, the first word of a command, says what the command does. What kind of kernel, which row of that kind's table (for sums of squares:
 * which of `FORMATS`), whether moments are flushed afterwards and whether the kernel takes integers have bits of their own:
 *
 *     | 31 … 26: 0 | 25: integers | 24: flush | 23 … 16: kind | 15 … 0: row |
 *
 * Kinds start at 1, so that an empty word is no op. scripts/kernels.mjs refuses a table with more rows than fit.
 */
export const MOST_ROWS = 2 ** 16;
const ROW = MOST_ROWS - 1;
const KIND = 0xff * MOST_ROWS;

export const UPDATE = 1 * MOST_ROWS;
export const SUM_SQUARES = 2 * MOST_ROWS;
/** Added to an update: its moments are flushed as well. */
export const FLUSH = 2 ** 24;
/** Added to an update where anything has 16 bits: the kernel is called with integers as well. */
export const WITH_INTEGERS = 2 ** 25;

export function kindOf(op: number): number {
  return op & KIND;
}

export function rowIn(op: number): number {
  return op & ROW;
}

export function flushes(op: number): boolean {
  return (op & FLUSH) !== 0;
}

export function hasIntegers(op: number): boolean {
  return (op & WITH_INTEGERS) !== 0;
}

import { Xxh32 } from "../checkpoint/checksum.js";
import { fail } from "../checks/errors.js";

/**
 * Bytes that have a checksum of their own, counted from the first row of a part: whoever reads a few rows of a large tensor reads and
 * checks little more than these. A checksum is eight digits in the header, so headers grow by 1/8192 of the data.
 */
export const BLOCK = 1 << 16;
export const DIGITS = 8;

export function blocksOf(bytes: number): number {
  return Math.ceil(bytes / BLOCK);
}

/** The checksums of a part's blocks, one after the other. */
export function sumsOf(bytes: Uint8Array): string {
  let sums = "";
  for (let at = 0; at < bytes.length; at += BLOCK) sums += new Xxh32().update(bytes.subarray(at, at + BLOCK)).digest();
  return sums;
}

/** @throws RangeError `ERR_CHECKSUM` */
export function checkBlock(label: string, bytes: Uint8Array, expected: string): void {
  const found = new Xxh32().update(bytes).digest();
  if (found !== expected)
    fail(RangeError, "ERR_CHECKSUM", label, `a block with checksum xxh32:${expected}`, `xxh32:${found}`);
}

import { DIGITS_AT, hashAround } from "../checkpoint/format.js";
import type { Plan } from "../checkpoint/save.js";
import { fail } from "../checks/errors.js";
import type { Append } from "./atomicFile.js";

/** Bytes that are copied out of linear memory at a time. */
const CHUNK = 1 << 20;

/** @throws (rejects with) Error `ERR_BUSY` if the values have changed since they were planned */
export async function writePlan({ header, parts, digits }: Plan, path: string, append: Append): Promise<void> {
  await append(header);
  const hash = hashAround(DIGITS_AT, header);
  const chunk = new Uint8Array(CHUNK);
  let filled = 0;
  // The hash is of the copy that is written: the original may change meanwhile.
  const flush = async () => {
    const bytes = chunk.subarray(0, filled);
    hash.update(bytes);
    await append(bytes);
    filled = 0;
  };
  for (const part of parts) {
    const { length } = part.bytes();
    for (let at = 0; at < length; ) {
      // A new view for each piece: a host's memory may grow between two writes, which detaches views.
      const piece = part.bytes().subarray(at, at + CHUNK - filled);
      chunk.set(piece, filled);
      filled += piece.length;
      at += piece.length;
      if (filled === CHUNK) await flush();
    }
  }
  await flush();
  if (hash.digest() !== digits) fail(Error, "ERR_BUSY", path, "values that stay as they are while saved", "others");
}

import { fail } from "../checks/errors.js";

/** Bytes for a whole file. @throws RangeError `ERR_OUT_OF_MEMORY` */
export function allocate(label: string, length: number): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(length);
  } catch (cause) {
    fail(RangeError, "ERR_OUT_OF_MEMORY", label, "as many bytes as the host grants", String(length), cause);
  }
}

/** A whole file of its pieces. @throws RangeError `ERR_OUT_OF_MEMORY` */
export function joined(label: string, pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = allocate(
    label,
    pieces.reduce((sum, { length }) => sum + length, 0),
  );
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

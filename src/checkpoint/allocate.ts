import { fail } from "../checks/errors.js";

/** Bytes for a whole file. @throws RangeError `ERR_OUT_OF_MEMORY` */
export function allocate(label: string, length: number): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(length);
  } catch (cause) {
    fail(RangeError, "ERR_OUT_OF_MEMORY", label, "as many bytes as the host grants", String(length), cause);
  }
}

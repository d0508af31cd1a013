import { allocate } from "../checkpoint/allocate.js";
import { readMetadata } from "../checkpoint/format.js";
import { headerEnd, PREFIX, parseHeader } from "../checkpoint/safetensors.js";
import { inFile } from "../checks/inFile.js";
import { type Read, withFile } from "./readFile.js";

/** The bytes of a safetensors file before its data: their number has been checked against the file's length. */
export async function readStart(path: string, length: number, read: Read): Promise<Uint8Array<ArrayBuffer>> {
  const prefix = new Uint8Array(Math.min(PREFIX, length));
  await read(prefix, 0);
  const start = new Uint8Array(inFile(path, () => headerEnd(prefix, length)));
  await read(start, 0);
  return start;
}

/**
 * The bytes of a whole checkpoint. A file whose header says that it is none is refused before the rest of it is read, or memory taken.
 *
 * @throws (rejects with) Error `ERR_FILE`, RangeError `ERR_CHECKPOINT` or `ERR_OUT_OF_MEMORY`, naming the path
 */
export function readCheckpoint(path: string): Promise<Uint8Array<ArrayBuffer>> {
  return withFile(path, async (length, read) => {
    const start = await readStart(path, length, read);
    inFile(path, () => readMetadata(parseHeader(start, length)));
    const bytes = allocate(path, length);
    bytes.set(start);
    await read(bytes.subarray(start.length), start.length);
    return bytes;
  });
}

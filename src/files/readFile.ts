import fs, { type FileHandle } from "node:fs/promises";
import { fail } from "../checks/errors.js";
import { checkIsFile, failFile } from "./fileErrors.js";

/** Bytes per read: a single one ends at 2 GiB. */
const MOST = 1 << 30;

/** Reads from an offset until `bytes` are full. */
export type Read = (bytes: Uint8Array<ArrayBuffer>, offset: number) => Promise<void>;

/**
 * Opens a file, hands over its length and how to read from it, and closes it.
 *
 * @throws (rejects with) Error `ERR_FILE` naming the path
 */
export async function withFile<T>(path: string, run: (length: number, read: Read) => Promise<T>): Promise<T> {
  try {
    // Before it is opened: a named pipe is not open until somebody writes to it.
    checkIsFile(path, await fs.stat(path));
    const file = await fs.open(path, fs.constants.O_RDONLY | (fs.constants.O_NONBLOCK ?? 0));
    try {
      return await readOpen(path, file, run);
    } finally {
      await file.close();
    }
  } catch (cause) {
    return failFile(path, "a file that can be read", cause);
  }
}

async function readOpen<T>(
  path: string,
  file: FileHandle,
  run: (length: number, read: Read) => Promise<T>,
): Promise<T> {
  const stat = await file.stat();
  checkIsFile(path, stat);
  return run(stat.size, async (bytes, offset) => {
    for (let at = 0; at < bytes.length; ) {
      const { bytesRead } = await file.read(bytes, at, Math.min(bytes.length - at, MOST), offset + at);
      if (bytesRead === 0) fail(Error, "ERR_FILE", path, `${stat.size} bytes`, `${offset + at}: it was cut meanwhile`);
      at += bytesRead;
    }
  });
}

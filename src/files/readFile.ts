import fs, { type FileHandle } from "node:fs/promises";
import { fail } from "../checks/errors.js";
import { failFile } from "./fileErrors.js";

/** Bytes per read: a single one ends at 2 GiB. */
const MOST = 1 << 30;

/**
 * Opens a file, hands over its length and a function that reads from an offset until `bytes` are full, and closes it.
 *
 * @throws (rejects with) Error `ERR_FILE` naming the path
 */
export async function withFile<T>(
  path: string,
  run: (length: number, read: (bytes: Uint8Array<ArrayBuffer>, offset: number) => Promise<void>) => Promise<T>,
): Promise<T> {
  let file: FileHandle | undefined;
  try {
    file = await fs.open(path, "r");
    const stat = await file.stat();
    if (!stat.isFile()) fail(Error, "ERR_FILE", path, "a file", stat.isDirectory() ? "a folder" : "something else");
    const read = async (bytes: Uint8Array<ArrayBuffer>, offset: number) => {
      for (let at = 0; at < bytes.length; ) {
        const { bytesRead } = await file!.read(bytes, at, Math.min(bytes.length - at, MOST), offset + at);
        if (bytesRead === 0)
          fail(Error, "ERR_FILE", path, `${stat.size} bytes`, `${offset + at}: it was cut meanwhile`);
        at += bytesRead;
      }
    };
    return await run(stat.size, read);
  } catch (cause) {
    return failFile(path, "a file that can be read", cause);
  } finally {
    await file?.close();
  }
}

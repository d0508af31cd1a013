import { randomUUID } from "node:crypto";
// The default export, so that tests can replace its functions.
import fs from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/** Appends bytes to a file; they may be reused once its promise has resolved. */
export type Append = (bytes: Uint8Array) => Promise<void>;

/**
 * Replaces the file at `path`, or makes it: after a crash at any point the path has the whole old or the whole new file. A
 * temporary file beside it is written, flushed to disk and renamed over it, and the folder flushed. Its name is new every time, so
 * that one left behind by a crash does not block the next save. It is removed if anything fails.
 */
export async function replaceFile(path: string, write: (append: Append) => Promise<void>): Promise<void> {
  const target = await resolveLinks(path);
  const folder = dirname(target);
  const temporary = join(folder, `.${basename(target)}.${randomUUID()}.tmp`);
  const file = await fs.open(temporary, "wx");
  try {
    try {
      await write(async (bytes) => {
        for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at)).bytesWritten;
      });
      await file.sync();
    } finally {
      await file.close();
    }
    await fs.rename(temporary, target);
  } catch (error) {
    await fs.rm(temporary, { force: true }).catch(() => {});
    throw error;
  }
  await syncFolder(folder);
}

/** The target of a symbolic link, so that the target is replaced and not the link. */
async function resolveLinks(path: string): Promise<string> {
  try {
    return await fs.realpath(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return path;
    throw error;
  }
}

/** Makes the rename durable. Windows has no such call, and some file systems refuse it. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === "win32") return;
  const folder = await fs.open(path, "r");
  try {
    await folder.sync();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "EINVAL" && code !== "ENOTSUP") throw error;
  } finally {
    await folder.close();
  }
}

import { randomUUID } from "node:crypto";
// The default export: what a test puts in place of its functions stands in for them here, too.
import fs from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/** Appends bytes to a file; they may be reused once its promise has resolved. */
export type Append = (bytes: Uint8Array) => Promise<void>;

/**
 * Replaces the file at `path`, or makes it: after a crash at any point it is the whole old or the whole new one. A temporary
 * file beside it is written, flushed to disk and renamed over it, and the folder flushed. The temporary's name is new every
 * time, so one that a crash has left behind is in nobody's way. If anything fails it is removed.
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

/** What a symbolic link points to, so that the link stays and its target is replaced. */
async function resolveLinks(path: string): Promise<string> {
  try {
    return await fs.realpath(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return path;
    throw error;
  }
}

/** Makes the rename last. Windows has no such call, and some file systems refuse it. */
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

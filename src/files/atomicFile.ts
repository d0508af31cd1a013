import { randomBytes } from "node:crypto";
import type { Stats } from "node:fs";
// The default export, so that tests can replace its functions.
import fs, { type FileHandle } from "node:fs/promises";
import { basename, dirname, isAbsolute } from "node:path";
import { fail } from "../checks/errors.js";
import { warnOnce } from "../checks/warn.js";
import { checkIsFile, codeOf } from "./fileErrors.js";

/** Appends bytes to a file; they may be reused once its promise has resolved. */
export type Append = (bytes: Uint8Array) => Promise<void>;

/**
 * Replaces the file at `path`, or makes it: after a crash at any point the path has the whole old or the whole new file. A
 * temporary file beside it is written, flushed to disk and renamed over it, and the folder flushed. Its name is new every time, so
 * that one left behind by a crash does not block the next save. It is removed if anything fails. After the rename nothing fails any more.
 */
export async function replaceFile(path: string, write: (append: Append) => Promise<void>): Promise<void> {
  const { target, old } = await findTarget(path);
  // Short, because the target's name may be as long as names can be.
  const temporary = beside(target, `.fused-adam.${randomBytes(8).toString("hex")}.tmp`);
  const file = await fs.open(temporary, "wx", old && modeAtFirst(old));
  try {
    try {
      if (old !== undefined) await makeLike(old, file);
      await write(async (bytes) => {
        for (let at = 0; at < bytes.length; ) {
          const { bytesWritten } = await file.write(bytes, at);
          if (bytesWritten === 0)
            fail(Error, "ERR_FILE", path, "a file that can be written", "none: it takes no bytes");
          at += bytesWritten;
        }
      });
      await flush(file);
    } finally {
      await file.close();
    }
    await rename(temporary, target);
  } catch (error) {
    await fs.rm(temporary, { force: true }).catch(() => {});
    throw error;
  }
  await flushFolder(dirname(target));
}

/** The file that a path stands for, and what it is; undefined if there is none yet. Links are followed, also to where nothing is. */
async function findTarget(path: string): Promise<{ target: string; old: Stats | undefined }> {
  const old = await ifThere(fs.stat(path));
  if (old !== undefined) {
    checkIsFile(path, old);
    await checkWritable(path, old);
  }
  let target = path;
  // A loop is an error of `stat`: links end somewhere.
  while ((await ifThere(fs.lstat(target)))?.isSymbolicLink()) {
    const link = await fs.readlink(target);
    target = isAbsolute(link) ? link : beside(target, link);
  }
  return { target, old };
}

/** Another name in place of a path's last. `join` would take "link/.." for nothing, and `dirname` with a separator Windows' "C:" for its root. */
function beside(path: string, name: string): string {
  return path.slice(0, path.length - basename(path).length) + name;
}

/** Puts a file that is flushed in the place of another. */
export async function moveFile(from: string, to: string): Promise<void> {
  await rename(from, to);
  await flushFolder(dirname(to));
}

/** Undefined where there is no such file. */
export async function ifThere<T>(result: Promise<T>): Promise<T | undefined> {
  try {
    return await result;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** A rename asks only whether the folder may be written to. Who made a file read-only means the file; root has to ask for its mode. */
async function checkWritable(path: string, { mode }: Stats): Promise<void> {
  if ((mode & 0o222) === 0) {
    const got = `one that is read-only (mode ${(mode & 0o777).toString(8)})`;
    fail(Error, "ERR_FILE", path, "a file that can be written", got);
  }
  // Not by `access`, for which Deno wants to be allowed more than to write. Windows says it by the mode, and a file may be held there.
  if (process.platform !== "win32") await (await fs.open(path, "r+")).close();
}

const PERMISSIONS = 0o7777;

/** At no time may more people read the new file than the old one: not even while it has another owner. */
function modeAtFirst({ mode, uid, gid }: Stats): number {
  try {
    const isOurs = process.geteuid === undefined || (process.geteuid() === uid && process.getegid?.() === gid);
    return mode & (isOurs ? 0o777 : 0o700);
  } catch {
    // Deno does not say who we are unless it is allowed to.
    return mode & 0o700;
  }
}

/** Gives a new file the mode of the old one, its owner where we are root, and its group where we are in it. */
async function makeLike(old: Stats, file: FileHandle): Promise<void> {
  const now = await file.stat();
  if (now.uid !== old.uid || now.gid !== old.gid) {
    // What we may not give away stays ours, as every file that we make.
    await file.chown(old.uid, old.gid).catch(() => file.chown(now.uid, old.gid).catch(() => {}));
  }
  try {
    if (((now.mode ^ old.mode) & PERMISSIONS) !== 0) await file.chmod(old.mode & PERMISSIONS);
  } catch (error) {
    warnOnce(
      "a file that replaces another can be read by fewer people here: its mode cannot be set",
      `(${codeOf(error)})`,
    );
  }
}

const NO_FLUSH =
  "files are written and replaced, but cannot be flushed to disk here: the last one may be lost if the power fails";
/** What is said where there is no fsync: by file systems, and by Node's `--permission`. All else is about this file. */
const UNAVAILABLE: ReadonlySet<unknown> = new Set(
  "EPERM EACCES EINVAL ENOSYS ENOTSUP EOPNOTSUPP ERR_ACCESS_DENIED ERR_METHOD_NOT_IMPLEMENTED".split(" "),
);

async function flush(file: FileHandle): Promise<void> {
  try {
    await file.sync();
  } catch (error) {
    if (!UNAVAILABLE.has(codeOf(error))) throw error;
    warnOnce(NO_FLUSH, `(${codeOf(error)})`);
  }
}

/** Makes the rename durable. The new file is in its place already, so whatever goes wrong is no error. Windows has no such call. */
async function flushFolder(path: string): Promise<void> {
  if (process.platform === "win32") return;
  try {
    const folder = await fs.open(path, "r");
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  } catch (error) {
    warnOnce(NO_FLUSH, `(${codeOf(error)})`);
  }
}

/** What Windows says while another program, a virus scanner mostly, holds a file; and how long we wait for it to end, in milliseconds. */
const HELD: ReadonlySet<unknown> = new Set(["EPERM", "EACCES", "EBUSY"]);
const PATIENCE = 10_000;
const LONGEST_PAUSE = 500;

async function rename(from: string, to: string): Promise<void> {
  for (let waited = 0, pause = 10; ; pause = Math.min(2 * pause, LONGEST_PAUSE)) {
    try {
      return await fs.rename(from, to);
    } catch (error) {
      if (process.platform !== "win32" || !HELD.has(codeOf(error)) || waited >= PATIENCE) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
    waited += pause;
  }
}

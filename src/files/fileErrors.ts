import type { Stats } from "node:fs";
import { brief, type ErrorCode, fail, LONGEST_LABEL, visible } from "../checks/errors.js";

/** Errors of this package that are thrown while a file is open. Everything else is the file system's. */
const OWN: ReadonlySet<unknown> = new Set<ErrorCode>([
  "ERR_FILE",
  "ERR_CHECKPOINT",
  "ERR_CHECKSUM",
  "ERR_OUT_OF_MEMORY",
  "ERR_BUSY",
  "ERR_HOST",
]);

/** Of whatever was thrown, by whatever realm. */
type Thrown = { readonly code?: unknown; readonly message?: unknown } | null | undefined;

/** What the file system calls an error; undefined for everything else that can be thrown. */
export function codeOf(cause: unknown): unknown {
  return (cause as Thrown)?.code;
}

/** @throws Error `ERR_FILE` naming the path, with the file system's error as its cause; an error of this package as it is */
export function failFile(path: string, expected: string, cause: unknown): never {
  if (OWN.has(codeOf(cause))) throw cause;
  const { message = String(cause) } = (cause as Thrown) ?? {};
  // The file system repeats the path, which may be as long as a caller makes it.
  fail(Error, "ERR_FILE", path, expected, visible(brief(String(message), 2 * LONGEST_LABEL)), cause);
}

/** @throws Error `ERR_FILE` for a folder, and for what has no content of its own: pipes, devices, sockets */
export function checkIsFile(path: string, stat: Stats): void {
  if (stat.isFile()) return;
  const kinds: [boolean, string][] = [
    [stat.isDirectory(), "a folder"],
    [stat.isFIFO(), "a named pipe"],
    [stat.isSocket(), "a socket"],
  ];
  fail(Error, "ERR_FILE", path, "a file", kinds.find(([is]) => is)?.[1] ?? "a device");
}

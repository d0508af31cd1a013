import { type ErrorCode, fail, show } from "../checks/errors.js";

/** What is thrown between the file system's calls; everything else is the file system's. */
const OWN: ReadonlySet<unknown> = new Set<ErrorCode>(["ERR_FILE", "ERR_CHECKPOINT", "ERR_OUT_OF_MEMORY", "ERR_BUSY"]);

/** @throws Error `ERR_FILE` naming the path, with the file system's error as its cause; an own error as it is */
export function failFile(path: string, expected: string, cause: unknown): never {
  if (OWN.has((cause as { code?: unknown }).code)) throw cause;
  fail(Error, "ERR_FILE", path, expected, cause instanceof Error ? cause.message : show(cause), cause);
}

/** Runs checks of a file's content, and puts the path before the label of what they throw. */
export function inFile<T>(path: string, check: () => T): T {
  try {
    return check();
  } catch (cause) {
    const { message, code } = cause as Error & { code: ErrorCode };
    const Class = (cause as Error).constructor as ErrorConstructor;
    throw Object.assign(new Class(`"${path}: ${message.slice(1)}`, { cause }), { code });
  }
}

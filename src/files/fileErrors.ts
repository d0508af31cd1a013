import { type ErrorCode, fail } from "../checks/errors.js";

/** Errors of this package that are thrown while a file is open. Everything else is the file system's. */
const OWN: ReadonlySet<unknown> = new Set<ErrorCode>(["ERR_FILE", "ERR_CHECKPOINT", "ERR_OUT_OF_MEMORY", "ERR_BUSY"]);

/** Of whatever was thrown, by whatever realm. */
type Thrown = { readonly code?: unknown; readonly message?: unknown } | null | undefined;

/** @throws Error `ERR_FILE` naming the path, with the file system's error as its cause; an error of this package as it is */
export function failFile(path: string, expected: string, cause: unknown): never {
  const { code, message = String(cause) } = (cause as Thrown) ?? {};
  if (OWN.has(code)) throw cause;
  fail(Error, "ERR_FILE", path, expected, String(message), cause);
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

import { type ErrorCode, LONGEST_LABEL, quote } from "./errors.js";

/** Runs checks of a file's content, and puts what the file is called before the label of what they throw. */
export function inFile<T>(path: string, check: () => T): T {
  try {
    return check();
  } catch (cause) {
    const { message, code } = cause as Error & { code: ErrorCode };
    const Class = (cause as Error).constructor as ErrorConstructor;
    const label = quote(path, LONGEST_LABEL).slice(0, -1);
    throw Object.assign(new Class(`${label}: ${message.slice(1)}`, { cause }), { code });
  }
}

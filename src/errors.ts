/** Stable identifiers, one per way of failing. Messages may be reworded; these may not. */
export type ErrorCode =
  | "ERR_INVALID_TYPE"
  | "ERR_UNKNOWN_OPTION"
  | "ERR_OUT_OF_RANGE"
  | "ERR_EMPTY_PARAMS"
  | "ERR_EMPTY_NAME"
  | "ERR_DUPLICATE_NAME"
  | "ERR_UNKNOWN_NAME"
  | "ERR_SHAPE_MISMATCH"
  | "ERR_DETACHED_BUFFER"
  | "ERR_MISALIGNED"
  | "ERR_OUT_OF_BOUNDS"
  | "ERR_OVERLAP"
  | "ERR_OUT_OF_MEMORY"
  | "ERR_KERNEL_UNAVAILABLE"
  | "ERR_BACKEND"
  | "ERR_STATE_MISMATCH"
  | "ERR_NON_FINITE"
  | "ERR_STEP_LIMIT"
  | "ERR_FIXED_OPTION"
  | "ERR_BUSY"
  | "ERR_WORKER"
  | "ERR_STATE_LOST"
  | "ERR_DISPOSED"
  | "ERR_CHECKPOINT"
  | "ERR_CHECKSUM"
  | "ERR_FILE"
  | "ERR_TRACED"
  | "ERR_STALE_STATE"
  | "ERR_UNREADABLE";

/** What every error of this package is: `TypeError` (wrong type), `RangeError` (wrong value) or `Error` (wrong state). */
export interface FusedAdamError extends Error {
  readonly code: ErrorCode;
}

type ErrorClass = ErrorConstructor | TypeErrorConstructor | RangeErrorConstructor;

export function fail(
  Class: ErrorClass,
  code: ErrorCode,
  label: string,
  expected: string,
  got: string,
  cause?: unknown,
): never {
  const error = new Class(`${JSON.stringify(label)}: expected ${expected}, got ${got}`);
  Object.defineProperty(error, "code", { value: code, enumerable: true });
  if (cause !== undefined) Object.defineProperty(error, "cause", { value: cause, configurable: true, writable: true });
  throw error;
}

export function failType(label: string, expected: string, value: unknown): never {
  fail(TypeError, "ERR_INVALID_TYPE", label, expected, show(value));
}

export function failRange(label: string, expected: string, value: unknown): never {
  fail(RangeError, "ERR_OUT_OF_RANGE", label, expected, show(value));
}

/** For state from elsewhere that does not fit. */
export function failMismatch(label: string, expected: string, got: string): never {
  fail(RangeError, "ERR_STATE_MISMATCH", label, expected, got);
}

const LONGEST = 60;

/** A value as a message shows it: short, on one line, never calling the value's own code. */
export function show(value: unknown): string {
  switch (typeof value) {
    case "string": {
      const text = JSON.stringify(value.length > LONGEST ? `${value.slice(0, LONGEST)}…` : value);
      return `the string ${text}`;
    }
    case "number":
      return Object.is(value, -0) ? "-0" : String(value);
    case "bigint":
      return `${value}n`;
    case "function":
      return "a function";
    case "object":
      if (value === null) return "null";
      return Array.isArray(value) ? `an array of length ${value.length}` : `an object`;
    default:
      return String(value);
  }
}

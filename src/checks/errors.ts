import { bare, tagOf } from "./builtins.js";

/** Stable identifiers, one per way of failing. Messages may be reworded; these may not. */
export type ErrorCode =
  /** TypeError: a value of another type. */
  | "ERR_INVALID_TYPE"
  /** TypeError: a key that no option has. */
  | "ERR_UNKNOWN_OPTION"
  /** RangeError: a number, or a word, that is not among the legal ones. */
  | "ERR_OUT_OF_RANGE"
  /** RangeError: a group without parameters. */
  | "ERR_EMPTY_PARAMS"
  /** RangeError: a parameter without a name. */
  | "ERR_EMPTY_NAME"
  /** RangeError: a name given twice, also across groups. */
  | "ERR_DUPLICATE_NAME"
  /** Error: a name that no parameter has. */
  | "ERR_UNKNOWN_NAME"
  /** RangeError: as many values as another shape has, or a tensor of another shape. */
  | "ERR_SHAPE_MISMATCH"
  /** TypeError: a view as numbers of another format than the group has. */
  | "ERR_DTYPE"
  /** TypeError: an array whose buffer was detached or has shrunk. */
  | "ERR_DETACHED_BUFFER"
  /** RangeError: an offset that is not divisible by the bytes of an element. */
  | "ERR_MISALIGNED"
  /** RangeError: a region that does not lie in the memory. */
  | "ERR_OUT_OF_BOUNDS"
  /** RangeError: two regions that share bytes. */
  | "ERR_OVERLAP"
  /** RangeError: more memory than 4 GiB, or than the host grants. */
  | "ERR_OUT_OF_MEMORY"
  /** Error: a kernel that was asked for by name and cannot run here. */
  | "ERR_KERNEL_UNAVAILABLE"
  /** Error: a backend of TensorFlow.js, or a device of jax-js, on which this cannot be done. */
  | "ERR_BACKEND"
  /** RangeError: a state of other parameters, or of other groups. */
  | "ERR_STATE_MISMATCH"
  /** RangeError: NaN or infinity in a state; also a second moment below 0. */
  | "ERR_NON_FINITE"
  /** Error: a step past 2^53 - 1. */
  | "ERR_STEP_LIMIT"
  /** Error: more steps in a row without finite gradients than `maxSkipped` allows. */
  | "ERR_SKIPPED"
  /** Error: an assignment to what was fixed when the group was made. */
  | "ERR_FIXED_OPTION"
  /** Error: another call of this optimizer is under way. */
  | "ERR_BUSY"
  /** Error: a worker was lost in a step, which may be half done. */
  | "ERR_WORKER"
  /** Error: a step after one that lost a worker; a state that is loaded ends this. */
  | "ERR_STATE_LOST"
  /** Error: `dispose` has been called. */
  | "ERR_DISPOSED"
  /** RangeError: bytes that are no whole checkpoint. */
  | "ERR_CHECKPOINT"
  /** RangeError: a checkpoint that has changed since it was written. */
  | "ERR_CHECKSUM"
  /** Error: a file that cannot be read or written; `cause` has what the file system said. */
  | "ERR_FILE"
  /** Error: something that the host does not have. */
  | "ERR_HOST"
  /** TypeError: numbers of another type than the call is for. */
  | "ERR_DTYPE"
  /** Error: an array without values, inside `jit`, `grad` or `vmap` of jax-js. */
  | "ERR_TRACED"
  /** Error: a state of jax-js that an earlier call has used up. */
  | "ERR_STALE_STATE"
  /** Error: values of jax-js that must be waited for first. */
  | "ERR_UNREADABLE";

/** What every error of this package is: `TypeError` (wrong type), `RangeError` (wrong value) or `Error` (wrong state). */
export interface FusedAdamError extends Error {
  /** Which way of failing it was. */
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
  const error = new Class(`${quote(label, LONGEST_LABEL)}: expected ${expected}, got ${got}`);
  Object.defineProperty(error, "code", bare({ value: code, enumerable: true }));
  if (cause !== undefined) {
    Object.defineProperty(error, "cause", bare({ value: cause, configurable: true, writable: true }));
  }
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

/** Characters of a text, a label and dimensions of a shape that a message shows: what comes from a file may be as long as the file. */
const LONGEST = 60;
export const LONGEST_LABEL = 300;
const LONGEST_SHAPE = 16;
const MOST_NAMES = 6;

/** A value as a message shows it: short, on one line. */
export function show(value: unknown): string {
  switch (typeof value) {
    case "string":
      return `the string ${quote(value)}`;
    case "number":
      return Object.is(value, -0) ? "-0" : String(value);
    case "bigint":
      return `${brief(String(value))}n`;
    case "function":
      return "a function";
    case "object":
      return value === null ? "null" : showObject(value);
    default:
      return brief(String(value));
  }
}

/** Text from elsewhere. What could control a terminal is escaped, or turn around the order of characters, or has no meaning that is known here. */
export function visible(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (char) => `\\u${char.codePointAt(0)!.toString(16).padStart(4, "0")}`);
}

/** A text in quotes. */
export function quote(text: string, longest = LONGEST): string {
  return visible(JSON.stringify(brief(text, longest)));
}

/** Names as a message lists them: the first few. */
export function showNames(names: Iterable<string>): string {
  const all = Array.from(names, (name) => visible(brief(name)));
  if (all.length === 0) return "none";
  const rest = all.length - MOST_NAMES;
  return rest > 0 ? `${all.slice(0, MOST_NAMES).join(", ")} and ${rest} more` : all.join(", ");
}

export function showShape(shape: readonly number[]): string {
  return `[${shape.slice(0, LONGEST_SHAPE).join(", ")}${shape.length > LONGEST_SHAPE ? ", …" : ""}]`;
}

export function brief(text: string, longest = LONGEST): string {
  return text.length > longest ? `${text.slice(0, longest)}…` : text;
}

function showObject(value: object): string {
  try {
    if (Array.isArray(value)) return `an array of length ${value.length}`;
    const tag = tagOf(value).replace(/\W/g, "").slice(0, LONGEST);
    if (tag === "Promise") return "a Promise (is an await missing?)";
    return tag === "Object" ? "an object" : `${/^[AEIO]/.test(tag) ? "an" : "a"} ${tag}`;
  } catch {
    // A revoked proxy, or code of the value's own that throws.
    return "an object that cannot be read";
  }
}

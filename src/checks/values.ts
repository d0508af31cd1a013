import { isArray, tagOf } from "./builtins.js";
import { fail, failRange, failType, quote, show } from "./errors.js";
import { suggest } from "./suggest.js";
import { warnOnce } from "./warn.js";

/** The property if it is the object's own: a polluted `Object.prototype` sets no option. */
export function own(object: object, key: string): unknown {
  return Object.hasOwn(object, key) ? (object as Record<string, unknown>)[key] : undefined;
}

/** Whether it is an object with properties to read: no array of any kind, no revoked proxy. */
export function isRecord(value: unknown): value is object {
  try {
    return typeof value === "object" && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);
  } catch {
    return false;
  }
}

/**
 * A record; no Map, Promise or the like, which has no properties of its own, or only symbols of its engine's, and would pass for an
 * empty record.
 */
export function checkRecord<T>(label: string, value: T, expected = "an object"): T & object {
  if (!isRecord(value)) failType(label, expected, value);
  if (!isPlain(value) && Object.keys(value).length === 0 && tagOf(value) !== "Object") failType(label, expected, value);
  return value;
}

/** A record whose own keys are all known, so that no misspelt option is silently left out. */
export function checkObject(label: string, value: unknown, known: readonly string[]): object {
  if (!isPlain(value)) {
    checkRecord(label, value);
    warnOfInherited(label, value as object, known);
  }
  for (const key of Object.keys(value as object)) {
    if (!known.includes(key)) {
      const expected = `only the keys ${known.join(", ")}`;
      fail(TypeError, "ERR_UNKNOWN_OPTION", label, expected, `the key ${quote(key)}${suggest(key, known)}`);
    }
  }
  return value as object;
}

/** Whether it is an object literal or the like. Most options are, and every step checks some: this spares them the other checks. */
function isPlain(value: unknown): boolean {
  try {
    return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
  } catch {
    return false;
  }
}

/** `Object.prototype` does not count: whatever it is polluted with, every object inherits. */
function warnOfInherited(label: string, object: object, known: readonly string[]): void {
  const keys = known.filter((key) => key in object && !Object.hasOwn(object, key) && !(key in Object.prototype));
  if (keys.length > 0) warnOnce(`"${label}": only own properties count, not the inherited ${keys.join(", ")}`);
}

/** The elements of an array, holes as undefined, so that the next check meets them. */
export function checkArray(label: string, value: unknown, expected: string): unknown[] {
  if (!isArray(value)) failType(label, expected, value);
  return Array.from(value);
}

/** Names, each of which may be there once. */
export type Names = Pick<Set<string>, "size" | "has" | "add">;

/** Adds a name to those there are. @throws RangeError `ERR_DUPLICATE_NAME` */
export function addName(label: string, names: Names, name: string): void {
  if (names.has(name)) fail(RangeError, "ERR_DUPLICATE_NAME", label, "every name once", `${show(name)} twice`);
  names.add(name);
}

export function checkNumber(label: string, value: unknown): number {
  if (typeof value !== "number") failType(label, "a number", value);
  return value;
}

export function checkBoolean(label: string, value: unknown): boolean {
  if (typeof value !== "boolean") failType(label, "a boolean", value);
  return value;
}

export function checkNonNegative(label: string, value: unknown): number {
  const number = checkNumber(label, value);
  if (!(number >= 0 && number < Infinity)) failRange(label, "a finite number >= 0", number);
  return number;
}

export function checkPositive(label: string, value: unknown): number {
  const number = checkNumber(label, value);
  if (!(number > 0 && number < Infinity)) failRange(label, "a finite number > 0", number);
  return number;
}

export function checkCount(label: string, value: unknown, least = 0): number {
  const number = checkNumber(label, value);
  if (!Number.isSafeInteger(number) || number < least) failRange(label, `an integer from ${least} to 2^53 - 1`, number);
  return number;
}

export function checkCounts(label: string, value: unknown): number[] {
  return checkArray(label, value, "an array of integers").map((count, i) => checkCount(`${label}[${i}]`, count));
}

export function sameShape(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length && one.every((size, i) => size === other[i]);
}

export function checkOneOf<T extends string>(label: string, value: unknown, words: readonly T[]): T {
  const expected = `one of ${words.join(", ")}`;
  if (typeof value !== "string") failType(label, expected, value);
  if (!(words as readonly string[]).includes(value)) failRange(label, expected, value);
  return value as T;
}

/** How each option of a kind is checked. */
export type Checks<T> = { readonly [K in keyof T]: (label: string, value: unknown) => T[K] };

/** Reads the options that `checks` lists; those that are missing or undefined are taken from `defaults`. */
export function optionReader<T extends object>(checks: Checks<T>) {
  /** @param prefix stands before each label */
  return (source: object, defaults: Readonly<T>, prefix = ""): T => {
    const options: T = { ...defaults };
    // The keys that are there, not all that could be: this runs in every step.
    for (const key of Object.keys(source) as (keyof T & string)[]) {
      if (!Object.hasOwn(checks, key)) continue;
      const value = (source as { readonly [K in keyof T]: unknown })[key];
      // null is neither missing nor undefined: it fails its check.
      if (value !== undefined) options[key] = checks[key](prefix + key, value);
    }
    return options;
  };
}

/** Reads options of which all keys must be known, `options` or undefined. */
export function optionsReader<T extends object>(checks: Checks<T>, defaults: Readonly<T>) {
  const read = optionReader(checks);
  const keys = Object.keys(checks);
  return (options: unknown): Readonly<T> =>
    options === undefined ? defaults : read(checkObject("options", options, keys), defaults);
}

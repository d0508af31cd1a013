import { failRange } from "../checks/errors.js";
import { type Checks, checkCount, checkNumber, checkObject, own } from "../checks/values.js";

/** The options of a schedule. What is missing or `undefined` has its default; what has no default is needed. */
export function readOptions<T extends object>(
  options: unknown,
  checks: Checks<T>,
  defaults: Partial<NoInfer<T>> = {},
): T {
  const keys = Object.keys(checks) as (keyof T & string)[];
  const object = checkObject("options", options, keys);
  const entries = keys.map((key) => {
    const value = own(object, key);
    return [key, value === undefined && Object.hasOwn(defaults, key) ? defaults[key] : checks[key](key, value)];
  });
  return Object.fromEntries(entries) as T;
}

export function checkPeriod(label: string, value: unknown): number {
  return checkCount(label, value, 1);
}

export function checkFraction(label: string, value: unknown): number {
  const number = checkNumber(label, value);
  if (!(number >= 0 && number <= 1)) failRange(label, "a number from 0 to 1", number);
  return number;
}

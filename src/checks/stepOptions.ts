import { isArray } from "./builtins.js";
import { STEP_DEFAULTS, type StepSettings } from "./defaults.js";
import { failRange, failType } from "./errors.js";
import type { SumOptions } from "./types.js";
import {
  type Checks,
  checkBoolean,
  checkCount,
  checkNonNegative,
  checkNumber,
  checkObject,
  checkPositive,
  isRecord,
  optionReader,
  optionsReader,
} from "./values.js";

const STEP_CHECKS: Checks<StepSettings> = {
  clipNorm: checkNonNegative,
  gradScale: checkPositive,
  skipNonFinite: checkBoolean,
  zeroGrad: checkBoolean,
  skip: checkSkip,
  gradNorm: checkNorm,
  maxSkipped: checkCount,
};
const SUM_KEYS = ["gradScale", "skip"] satisfies (keyof StepSettings)[];
const read = optionReader(STEP_CHECKS);

export const readStep = optionsReader(STEP_CHECKS, STEP_DEFAULTS);

/** The options of `sumOfSquares`: some of a step's. */
export function readSum(options: SumOptions = {}): Readonly<StepSettings> {
  return read(checkObject("options", options, SUM_KEYS), STEP_DEFAULTS);
}

function checkNorm(label: string, value: unknown): number {
  const norm = checkNumber(label, value);
  if (norm < 0) failRange(label, "a number >= 0, or NaN", norm);
  return norm;
}

function checkSkip(label: string, value: unknown): ReadonlySet<string> {
  // A string is iterable too, but its characters are not what was meant.
  if (!isIterable(value)) failType(label, "an iterable of names", value);
  const names = new Set<string>();
  for (const name of value) {
    if (typeof name !== "string") failType(label, "names as strings", name);
    names.add(name);
  }
  return names;
}

function isIterable(value: unknown): value is Iterable<unknown> {
  return (isArray(value) || isRecord(value)) && typeof (value as Iterable<unknown>)[Symbol.iterator] === "function";
}

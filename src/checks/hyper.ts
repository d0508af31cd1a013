import type { Hyper } from "./defaults.js";
import { failRange, failType } from "./errors.js";
import { COPY_FORMATS, GRAD_FORMATS, MOMENT_FORMATS } from "./formats.js";
import type { Schedule } from "./types.js";
import {
  type Checks,
  checkArray,
  checkBoolean,
  checkNonNegative,
  checkNumber,
  checkOneOf,
  optionReader,
} from "./values.js";

const PAIR = "an array of two numbers";

function checkRate(label: string, value: unknown): number | Schedule {
  if (typeof value === "function") return value as Schedule;
  if (typeof value !== "number") failType(label, "a number or a function", value);
  return checkNonNegative(label, value);
}

function checkBetas(label: string, value: unknown): readonly [number, number] {
  const betas = checkArray(label, value, PAIR);
  if (betas.length !== 2) failRange(label, PAIR, value);
  betas.forEach((beta, i) => {
    const number = checkNumber(`${label}[${i}]`, beta);
    if (!(number >= 0 && number < 1)) failRange(`${label}[${i}]`, "a number in [0, 1)", number);
  });
  return Object.freeze(betas) as readonly [number, number];
}

/** How each hyper-parameter is checked, whether it comes with options, by assignment or from a state dict. */
export const CHECKS: Checks<Hyper> = {
  lr: checkRate,
  betas: checkBetas,
  eps: checkNonNegative,
  weightDecay: checkRate,
  amsgrad: checkBoolean,
  maximize: checkBoolean,
  biasCorrection: checkBoolean,
  moments: (label, value) => checkOneOf(label, value, MOMENT_FORMATS),
  grads: (label, value) => checkOneOf(label, value, GRAD_FORMATS),
  copies: (label, value) => checkOneOf(label, value, COPY_FORMATS),
};

/** Options that say how numbers lie in memory: no state has them. */
const FORMAT_KEYS = ["moments", "grads", "copies"] as const;
export type HyperKey = Exclude<keyof Hyper, (typeof FORMAT_KEYS)[number]>;

/** The options of a group. */
export const GROUP_OPTIONS = Object.keys(CHECKS) as (keyof Hyper)[];
/** Those of them that a state has. */
export const ADAM_KEYS = GROUP_OPTIONS.slice(0, -FORMAT_KEYS.length) as HyperKey[];
/** Fixed when the group is made, because memory is laid out for them. */
export const FIXED_KEYS: readonly string[] = ["amsgrad", ...FORMAT_KEYS];

export const readHyper = optionReader(CHECKS);

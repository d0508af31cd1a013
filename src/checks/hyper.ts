import type { Hyper } from "./defaults.js";
import { failRange, failType } from "./errors.js";
import type { Schedule } from "./types.js";
import { type Checks, checkArray, checkBoolean, checkNonNegative, checkNumber, optionReader } from "./values.js";

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
};

export const ADAM_KEYS = Object.keys(CHECKS) as (keyof Hyper)[];

export const readHyper = optionReader(CHECKS);

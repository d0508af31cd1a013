import type { Schedule } from "../checks/types.js";
import { checkArray, checkCount, checkNonNegative } from "../checks/values.js";
import { checkPeriod, readOptions } from "./options.js";
import { power } from "./power.js";

const GAMMA = 0.1;

/**
 * `lr`, multiplied by `gamma` after every `stepSize` steps: PyTorch's StepLR.
 *
 * @param options a rate and a factor, finite and >= 0, and a number of steps
 * @throws TypeError, RangeError naming the option
 */
export function stepDecay(options: {
  /** The rate of steps 1 to `stepSize`. */
  lr: number;
  /** An integer >= 1. */
  stepSize: number;
  /** Default 0.1. */
  gamma?: number;
}): Schedule {
  const checks = { lr: checkNonNegative, stepSize: checkPeriod, gamma: checkNonNegative };
  const { lr, stepSize, gamma } = readOptions(options, checks, { gamma: GAMMA });
  return (step) => lr * power(gamma, Math.floor((step - 1) / stepSize));
}

/**
 * `lr`, multiplied by `gamma` after each of the steps `milestones`: PyTorch's MultiStepLR.
 *
 * @param options a rate and a factor, finite and >= 0, and numbers of steps
 * @throws TypeError, RangeError naming the option
 */
export function multiStepDecay(options: {
  /** The rate up to the first milestone. */
  lr: number;
  /** Integers >= 0. One that is there twice counts twice. */
  milestones: readonly number[];
  /** Default 0.1. */
  gamma?: number;
}): Schedule {
  const checks = { lr: checkNonNegative, milestones: checkMilestones, gamma: checkNonNegative };
  const { lr, milestones, gamma } = readOptions(options, checks, { gamma: GAMMA });
  return (step) => lr * power(gamma, milestones.filter((milestone) => milestone < step).length);
}

function checkMilestones(label: string, value: unknown): number[] {
  return checkArray(label, value, "an array of integers").map((milestone, i) =>
    checkCount(`${label}[${i}]`, milestone),
  );
}

/**
 * `lr`, multiplied by `gamma` after every step: PyTorch's ExponentialLR.
 *
 * @param options a rate and a factor, finite and >= 0. With a factor above 1 the rate may grow until a step refuses it.
 * @throws TypeError, RangeError naming the option
 */
export function exponential(options: {
  /** The rate of step 1. */
  lr: number;
  gamma: number;
}): Schedule {
  const { lr, gamma } = readOptions(options, { lr: checkNonNegative, gamma: checkNonNegative });
  return (step) => lr * power(gamma, step - 1);
}

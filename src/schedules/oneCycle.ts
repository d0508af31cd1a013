import type { Schedule } from "../checks/types.js";
import { checkBoolean, checkNonNegative, checkOneOf, checkPositive } from "../checks/values.js";
import { halfCosine } from "./cosine.js";
import { checkFraction, checkPeriod, readOptions } from "./options.js";

const ANNEALING = {
  cos: halfCosine,
  linear: (from: number, to: number, at: number, end: number) => (to - from) * (at / end) + from,
};
type Strategy = keyof typeof ANNEALING;
const STRATEGIES = Object.keys(ANNEALING) as Strategy[];

/**
 * One cycle (Smith & Topin 2018): from `lr` / `divFactor` at step 1 up to `lr`, then down to
 * `lr` / `divFactor` / `finalDivFactor` at step `steps`, and constant from there. PyTorch's OneCycleLR with its defaults, of the
 * learning rate alone: β1 stays as it is, as with PyTorch's `cycle_momentum=False`.
 *
 * @param options a rate, a number of steps, and the cycle's shape
 * @throws TypeError, RangeError naming the option
 */
export function oneCycle(options: {
  /** The highest rate, finite and >= 0. PyTorch's `max_lr`. */
  lr: number;
  /** An integer >= 1. PyTorch's `total_steps`. */
  steps: number;
  /** The share of the steps in which the rate rises, from 0 to 1: it is highest at step `pctStart` · `steps`. Default 0.3. */
  pctStart?: number;
  /** Half cosines, or straight lines. Default "cos". */
  annealStrategy?: "cos" | "linear";
  /** > 0. Default 25. */
  divFactor?: number;
  /** > 0. Default 1e4. */
  finalDivFactor?: number;
  /** Down in as many steps as up, to `lr` / `divFactor`, and from there to the end. Default false. */
  threePhase?: boolean;
}): Schedule {
  const checks = {
    lr: checkNonNegative,
    steps: checkPeriod,
    pctStart: checkFraction,
    annealStrategy: (label: string, value: unknown) => checkOneOf(label, value, STRATEGIES),
    divFactor: checkPositive,
    finalDivFactor: checkPositive,
    threePhase: checkBoolean,
  };
  const { lr, steps, pctStart, annealStrategy, divFactor, finalDivFactor, threePhase } = readOptions(options, checks, {
    pctStart: 0.3,
    annealStrategy: "cos",
    divFactor: 25,
    finalDivFactor: 1e4,
    threePhase: false,
  });
  const anneal = ANNEALING[annealStrategy];
  const initial = lr / divFactor;
  const last = { until: steps - 1, from: threePhase ? initial : lr, to: initial / finalDivFactor };
  const phases = [{ until: pctStart * steps - 1, from: initial, to: lr }];
  if (threePhase) phases.push({ until: 2 * pctStart * steps - 2, from: lr, to: initial });
  phases.push(last);

  return (step) => {
    // As in PyTorch, which counts from 0, and whose phases may end between steps.
    const at = Math.min(step, steps) - 1;
    const i = phases.findIndex(({ until }) => at <= until);
    const { until, from, to } = phases[i]!;
    const start = i === 0 ? 0 : phases[i - 1]!.until;
    return until === start ? to : anneal(from, to, at - start, until - start);
  };
}

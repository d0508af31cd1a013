import type { Schedule } from "../checks/types.js";
import { checkNonNegative, checkOneOf } from "../checks/values.js";
import { checkPeriod, readOptions } from "./options.js";
import { power } from "./power.js";

/** What the height of a cycle is multiplied by. */
const HEIGHTS = {
  triangular: () => 1,
  triangular2: (cycle: number) => power(0.5, cycle),
  expRange: (_: number, at: number, gamma: number) => power(gamma, at),
};
type Mode = keyof typeof HEIGHTS;
const MODES = Object.keys(HEIGHTS) as Mode[];

/**
 * From `min` at step 1 up to `lr` in `up` steps, down to `min` in `down` steps, and again (Smith 2017). PyTorch's CyclicLR, of the
 * learning rate alone: β1 stays as it is, as with PyTorch's `cycle_momentum=False`.
 *
 * @param options rates and a factor, finite and >= 0, and numbers of steps
 * @throws TypeError, RangeError naming the option
 */
export function cyclic(options: {
  /** The highest rate. PyTorch's `max_lr`. */
  lr: number;
  /** An integer >= 1. PyTorch's `step_size_up`. */
  up: number;
  /** An integer >= 1. Default `up`. PyTorch's `step_size_down`. */
  down?: number;
  /** The rate of step 1 and of each cycle's end. Default 0. PyTorch's `base_lr`, which has no default. */
  min?: number;
  /**
   * How high each cycle goes: all to `lr`; each half as high above `min` as the one before; or `gamma` to the number of steps so far
   * as high. Default "triangular".
   */
  mode?: "triangular" | "triangular2" | "expRange";
  /** For "expRange". Default 1. */
  gamma?: number;
}): Schedule {
  const checks = {
    lr: checkNonNegative,
    up: checkPeriod,
    down: (label: string, value: unknown): number | undefined => checkPeriod(label, value),
    min: checkNonNegative,
    mode: (label: string, value: unknown) => checkOneOf(label, value, MODES),
    gamma: checkNonNegative,
  };
  const defaults = { down: undefined, min: 0, mode: "triangular", gamma: 1 } as const;
  const { lr, up, down = up, min, mode, gamma } = readOptions(options, checks, defaults);
  const height = HEIGHTS[mode];
  return (step) => {
    const at = (step - 1) % (up + down);
    const cycle = Math.floor((step - 1) / (up + down));
    const share = at <= up ? at / up : (up + down - at) / down;
    return min + (lr - min) * share * height(cycle, step - 1, gamma);
  };
}

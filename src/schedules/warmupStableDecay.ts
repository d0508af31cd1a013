import type { Schedule } from "../checks/types.js";
import { checkCount, checkNonNegative } from "../checks/values.js";
import { chain } from "./chain.js";
import { constant, linear, linearWarmup } from "./linear.js";
import { readOptions } from "./options.js";

/**
 * Up to `lr` over `warmup` steps, constant for `stable` steps, then in a straight line down to `min` over `decay` steps (Hu et
 * al. 2024, MiniCPM).
 *
 * @param options rates, finite and >= 0, and numbers of steps, integers >= 0
 * @throws TypeError, RangeError naming the option
 */
export function warmupStableDecay(options: {
  /** The rate of the plateau. */
  lr: number;
  /** Steps from 0 to `lr`. */
  warmup: number;
  /** Steps at `lr`. */
  stable: number;
  /** Steps from `lr` to `min`. */
  decay: number;
  /** The rate it ends at. Default 0. */
  min?: number;
}): Schedule {
  const checks = {
    lr: checkNonNegative,
    warmup: checkCount,
    stable: checkCount,
    decay: checkCount,
    min: checkNonNegative,
  };
  const { lr, warmup, stable, decay, min } = readOptions(options, checks, { min: 0 });
  return chain([
    [linearWarmup({ lr, steps: warmup }), warmup],
    [constant(lr), stable],
    [linear({ from: lr, to: min, steps: decay })],
  ]);
}

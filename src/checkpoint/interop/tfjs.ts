import { checkFloat32Array } from "../../checks/arrays.js";
import { listLength } from "../../checks/builtins.js";
import { failMismatch, show } from "../../checks/errors.js";
import type { GroupState, StateDict } from "../../checks/types.js";
import { checkArray, checkCount, checkRecord } from "../../checks/values.js";
import { positionsOf, wholeState } from "./names.js";

/** An entry of tfjs's `optimizer.getWeights()`, its tensor read with `dataSync()`. */
export interface TfjsWeight {
  /** "iter", or a variable's name followed by "/m" or "/v". */
  name: string;
  /** The tensor's values: the step count of "iter", else float32. */
  data: Float32Array | Int32Array;
}

/**
 * The state in the order of tfjs's `AdamOptimizer.getWeights()`: "iter", every first moment, every second moment.
 *
 * @param names the parameters in the order in which tfjs has its variables
 * @throws RangeError `ERR_STATE_MISMATCH` where names and state differ, and for what tfjs does not have: AMSGrad, steps
 * that differ between parameters, or past 2^31 - 1
 */
export function toTfjs(stateDict: StateDict, names: readonly string[]): TfjsWeight[] {
  const state = wholeState(stateDict);
  positionsOf(names, Object.keys(state));
  const steps = new Set(names.map((name) => state[name]!.step));
  if (steps.size > 1) failMismatch("step", "one step for all parameters", [...steps].slice(0, 4).join(", "));
  const step = steps.size === 0 ? 0 : [...steps][0]!;
  if (step > 2 ** 31 - 1) failMismatch("step", "an int32", String(step));
  for (const name of names) {
    if (state[name]!.max_exp_avg_sq !== undefined) failMismatch(`state.${name}`, "no AMSGrad", "max_exp_avg_sq");
  }
  return [
    { name: "iter", data: Int32Array.of(step) },
    ...names.map((name) => ({ name: `${name}/m`, data: state[name]!.exp_avg })),
    ...names.map((name) => ({ name: `${name}/v`, data: state[name]!.exp_avg_sq })),
  ];
}

/**
 * A state dict from tfjs's weights, by position as tfjs itself restores them.
 *
 * @param names the parameters in the order in which tfjs has its variables
 * @param param_groups what tfjs does not save: `optimizer.stateDict().param_groups`
 * @throws TypeError, RangeError `ERR_STATE_MISMATCH` for another number of weights
 */
export function fromTfjs(
  weights: readonly TfjsWeight[],
  names: readonly string[],
  param_groups: GroupState[],
): StateDict {
  const count = positionsOf(names, names).size;
  checkArray("weights", weights, "an array").forEach((weight, i) => {
    checkRecord(`weights[${i}]`, weight);
  });
  if (weights.length !== 1 + 2 * count || listLength(weights[0]!.data) !== 1) {
    failMismatch(
      "weights",
      `"iter" and 2 x ${count} moments`,
      `${weights.length} weights, first ${show(weights[0]?.name)}`,
    );
  }
  const step = checkCount("iter", weights[0]!.data[0]);
  const moment = (i: number) => checkFloat32Array(`weights[${i}].data`, weights[i]!.data);
  const entries = names.map((name, i) => [name, { step, exp_avg: moment(1 + i), exp_avg_sq: moment(1 + count + i) }]);
  return { state: Object.fromEntries(entries), param_groups };
}

import { failMismatch } from "../../checks/errors.js";
import type { GroupState, ParamState, StateDict } from "../../checks/types.js";
import { checkRecord } from "../../checks/values.js";
import { positionsOf, wholeState } from "./names.js";

/** optax's `ScaleByAdamState`, or with `nu_max` its `ScaleByAmsgradState`; trees of depth 1, arrays flat and row-major. */
export interface OptaxState {
  /** Steps taken, one count for all. */
  count: number;
  /** First moments, by name of the parameter. */
  mu: Record<string, Float32Array>;
  /** Second moments. */
  nu: Record<string, Float32Array>;
  /**
   * With AMSGrad: the largest so far, for all parameters or for none. In optax that is the largest bias-corrected v, in this package
   * the largest v. Values are not converted.
   */
  nu_max?: Record<string, Float32Array>;
}

/**
 * The state in the form of optax's.
 *
 * @throws RangeError `ERR_STATE_MISMATCH` for what optax does not have: steps that differ, AMSGrad for some only
 */
export function toOptax(stateDict: StateDict): OptaxState {
  const state = wholeState(stateDict);
  const entries = Object.entries(state);
  const count = entries[0]?.[1].step ?? 0;
  if (entries.some(([, { step }]) => step !== count)) failMismatch("step", "one step for all parameters", "several");
  const tree = (key: "exp_avg" | "exp_avg_sq" | "max_exp_avg_sq") =>
    Object.fromEntries(entries.flatMap(([name, entry]) => (entry[key] === undefined ? [] : [[name, entry[key]]])));
  const nu_max = tree("max_exp_avg_sq");
  const amsgrad = Object.keys(nu_max).length;
  if (amsgrad !== 0 && amsgrad !== entries.length) failMismatch("amsgrad", "the same for all parameters", "both");
  return { count, mu: tree("exp_avg"), nu: tree("exp_avg_sq"), ...(amsgrad === 0 ? {} : { nu_max }) };
}

/**
 * A state dict from optax's state; what does not fit the optimizer is refused by `loadStateDict`.
 *
 * @param optaxState its arrays flat and row-major; `loadStateDict` copies them
 * @param param_groups what optax keeps elsewhere: `optimizer.stateDict().param_groups`
 * @throws RangeError `ERR_STATE_MISMATCH` where `mu`, `nu` and `nu_max` name different parameters
 */
export function fromOptax(optaxState: OptaxState, param_groups: GroupState[]): StateDict {
  const { count, mu, nu, nu_max } = checkRecord("optax_state", optaxState);
  for (const [label, tree] of Object.entries({ mu, nu, ...(nu_max && { nu_max }) })) checkRecord(label, tree);
  for (const tree of nu_max === undefined ? [nu] : [nu, nu_max]) positionsOf(Object.keys(tree), Object.keys(mu));
  const entries = Object.entries(mu).map(([name, exp_avg]): [string, ParamState] => {
    const entry = { step: count, exp_avg, exp_avg_sq: nu[name]! };
    return [name, nu_max === undefined ? entry : { ...entry, max_exp_avg_sq: nu_max[name]! }];
  });
  return { state: Object.fromEntries(entries), param_groups };
}

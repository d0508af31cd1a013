import { failMismatch, failType, show } from "../../checks/errors.js";
import type { StateDict } from "../../checks/types.js";
import { addName, checkArray, checkRecord } from "../../checks/values.js";

/** The index of each name. @throws TypeError, RangeError unless `names` are exactly the `expected`, each once, in any order */
export function positionsOf(names: readonly string[], expected: readonly string[]): ReadonlyMap<string, number> {
  const seen = new Set<string>();
  for (const [i, name] of checkArray("names", names, "an array of names").entries()) {
    if (typeof name !== "string") failType(`names[${i}]`, "a name", name);
    addName("names", seen, name);
  }
  for (const name of expected) if (!seen.has(name)) failMismatch("names", show(name), "none");
  if (seen.size !== expected.length) failMismatch("names", `${expected.length} names`, String(seen.size));
  return new Map([...seen].map((name, i) => [name, i]));
}

/** The state by name. @throws RangeError `ERR_STATE_MISMATCH` for parts of tensors, which other libraries would take for the whole */
export function wholeState(stateDict: StateDict, complete = true): StateDict["state"] {
  const state = checkRecord("state", checkRecord("state_dict", stateDict).state);
  for (const [name, entry] of Object.entries(state)) {
    const { rows, exp_avg } = checkRecord(`state.${name}`, entry);
    if (rows !== undefined) failMismatch(`state.${name}`, "a whole tensor's", "some of its rows");
    if (complete && exp_avg === undefined) failMismatch(`state.${name}`, "moments", "none");
  }
  return state;
}

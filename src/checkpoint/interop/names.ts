import { failMismatch, failType, show } from "../../checks/errors.js";
import { addName, checkArray } from "../../checks/values.js";

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

import { fail, failMismatch, failType, show } from "../checks/errors.js";
import { checkArray, isRecord } from "../checks/options.js";

/** @throws TypeError for what is no object, or an array of any kind */
export function checkRecord<T>(label: string, value: T): T & object {
  if (!isRecord(value)) failType(label, "an object", value);
  return value;
}

/** Where each name stands. @throws TypeError, RangeError unless `names` are exactly the `expected`, each once */
export function checkNames(names: readonly string[], expected: readonly string[]): Map<string, number> {
  const index = new Map<string, number>();
  for (const [i, name] of checkArray("names", names, "an array of names").entries()) {
    if (typeof name !== "string") failType(`names[${i}]`, "a name", name);
    if (index.has(name)) fail(RangeError, "ERR_DUPLICATE_NAME", "names", "every name once", `${show(name)} twice`);
    index.set(name, i);
  }
  for (const name of expected) if (!index.has(name)) failMismatch("names", show(name), "none");
  if (index.size !== expected.length) failMismatch("names", `${expected.length} names`, String(index.size));
  return index;
}

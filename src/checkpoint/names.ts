import { fail, failMismatch, failType, show } from "../errors.js";

/** Where each name stands. @throws TypeError, RangeError unless `names` are exactly the `expected`, each once */
export function checkNames(names: readonly string[], expected: readonly string[]): Map<string, number> {
  if (!Array.isArray(names)) failType("names", "an array of names", names);
  const index = new Map<string, number>();
  for (const [i, name] of names.entries() as Iterable<[number, unknown]>) {
    if (typeof name !== "string") failType(`names[${i}]`, "a name", name);
    if (index.has(name)) fail(RangeError, "ERR_DUPLICATE_NAME", "names", "every name once", `${show(name)} twice`);
    index.set(name, i);
  }
  for (const name of expected) if (!index.has(name)) failMismatch("names", show(name), "none");
  if (index.size !== expected.length) failMismatch("names", `${expected.length} names`, String(index.size));
  return index;
}

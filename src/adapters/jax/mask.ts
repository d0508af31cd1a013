import { Array as JaxArray, type JsTree, type JsTreeDef, tree } from "@jax-js/jax";
import { isArray } from "../../checks/builtins.js";
import { fail, failType } from "../../checks/errors.js";
import { isRecord, own } from "../../checks/values.js";
import { type ArrayTree, type Flat, keysOf, stepTo } from "./leaves.js";
import type { Settings } from "./settings.js";

type MaskFunction = (params: ArrayTree) => unknown;

/** For each leaf whether it decays. */
export function decaysOf({ hyper, mask }: Settings, params: Flat): readonly boolean[] {
  const chosen =
    typeof mask === "function" ? ask(mask as MaskFunction, params) : spread("mask", mask ?? true, params.def);
  return chosen.map((decays) => decays && hyper.weightDecay !== 0);
}

/** Calls the function with references that it may use up, as functions of jax-js do, or leave. */
function ask(mask: MaskFunction, { leaves, def }: Flat): boolean[] {
  const before = new Map(leaves.map((leaf) => [leaf, leaf.refCount]));
  let answer: unknown;
  try {
    answer = mask(tree.ref(tree.unflatten(def, leaves)));
    return spread("mask(params)", answer, def);
  } finally {
    for (const leaf of tree.leaves(answer as JsTree<unknown>)) {
      if (leaf instanceof JaxArray && !before.has(leaf)) leaf.dispose();
    }
    for (const [leaf, count] of before) while (leaf.refCount > count) leaf.dispose();
  }
}

/** One boolean for each leaf. */
function spread(label: string, mask: unknown, def: JsTreeDef): boolean[] {
  if (typeof mask === "boolean") return new Array<boolean>(def.size).fill(mask);
  // jax-js's own optax has these, and multiplies with them. Here the elements of an array share a decay.
  if (mask instanceof JaxArray) {
    fail(TypeError, "ERR_INVALID_TYPE", label, "a boolean, which holds for all elements of an array", "a jax-js Array");
  }
  const below = (child: (i: number) => unknown) =>
    def.childTreedefs.flatMap((childDef, i) => spread(label + stepTo(def, i), child(i), childDef));

  if (def.nodeType === tree.NodeType.Leaf) failType(label, "a boolean", mask);
  if (def.nodeType === tree.NodeType.Array) {
    const { length } = def.childTreedefs;
    if (!isArray(mask)) failType(label, `a boolean or a list of ${length}`, mask);
    if (mask.length !== length) {
      fail(RangeError, "ERR_SHAPE_MISMATCH", label, `a list of ${length}`, `one of ${mask.length}`);
    }
    return below((i) => mask[i]);
  }
  const keys = keysOf(def);
  if (!isRecord(mask)) failType(label, "a boolean or an object of them", mask);
  const unknown = Object.keys(mask).find((key) => !keys.includes(key));
  if (unknown !== undefined) {
    fail(RangeError, "ERR_SHAPE_MISMATCH", label, `the keys ${JSON.stringify(keys)}`, JSON.stringify(unknown));
  }
  return below((i) => own(mask, keys[i]!));
}

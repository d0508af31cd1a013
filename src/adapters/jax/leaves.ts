import { Array as JaxArray, type JsTree, type JsTreeDef, numpy, tree } from "@jax-js/jax";
import { fail, failType, showShape } from "../../checks/errors.js";

/** A tree of arrays, as jax-js has them: nested objects and lists. */
export type ArrayTree = JsTree<JaxArray>;

/** The leaves of a tree, and its structure. */
export interface Flat {
  /** The tree's name in messages. */
  readonly label: string;
  readonly leaves: readonly JaxArray[];
  readonly def: JsTreeDef;
}

/**
 * @throws TypeError for a leaf that is no float32 array; Error `ERR_TRACED` for one without values, `ERR_BACKEND` for one on a
 * device that cannot be read synchronously
 */
export function flatten(label: string, value: unknown): Flat {
  const flat = takeApart(label, value);
  refuseDevices(flat, [...READABLE, GPU]);
  flat.leaves.forEach((leaf, i) => {
    if (leaf.dtype !== numpy.float32) fail(TypeError, "ERR_INVALID_TYPE", labelOf(flat, i), "float32", leaf.dtype);
  });
  return flat;
}

/** Devices whose arrays can be read at once. On webgpu jax-js reads through a canvas, which returns zeros on some machines. */
const READABLE: readonly string[] = ["cpu", "wasm"];
/** Where steps are jax-js's operations. Its other GPU device, webgl, was not there to be tested. */
export const GPU = "webgpu";

/** @throws Error `ERR_BACKEND` for an array on another device */
export function refuseDevices(flat: Flat, devices = READABLE): void {
  flat.leaves.forEach(({ device }, i) => {
    if (devices.includes(device)) return;
    const expected = `an array on ${devices.join(" or ")} (await devicePut(array, "wasm"))`;
    fail(Error, "ERR_BACKEND", labelOf(flat, i), expected, `one on ${device}`);
  });
}

/** Whether trees lie on the GPU. @throws Error `ERR_BACKEND` where only some of their arrays do */
export function areOnGpu(...flats: readonly Flat[]): boolean {
  if (!flats.some(({ leaves }) => leaves.some(({ device }) => device === GPU))) return false;
  for (const flat of flats) refuseDevices(flat, [GPU]);
  return true;
}

/** As `flatten`, of any type of number and on any device. */
export function takeApart(label: string, value: unknown): Flat {
  const [leaves, def] = tree.flatten(value as ArrayTree);
  const flat = { label, leaves, def };
  leaves.forEach((leaf, i) => {
    if (!(leaf instanceof JaxArray)) failLeaf(labelOf(flat, i), leaf);
  });
  return flat;
}

function failLeaf(label: string, leaf: unknown): never {
  const isObject = typeof leaf === "object" && leaf !== null;
  if (isObject && "dataSync" in leaf) {
    fail(
      TypeError,
      "ERR_INVALID_TYPE",
      label,
      "an Array of the @jax-js/jax that fused-adam/jax imports",
      "another copy's",
    );
  }
  if (isObject && "aval" in leaf) failTraced(label);
  failType(label, "a jax-js Array", leaf);
}

function failTraced(label: string): never {
  const expected = "arrays that have values, because steps run eagerly: jit the gradient, and call this outside";
  fail(Error, "ERR_TRACED", label, expected, "a tracer of jit, grad or vmap");
}

/**
 * Refuses to run inside `jit`, where a step would run once, when the function is compiled, and never again. Arrays that the
 * function captured are not tracers there, but whatever is computed is.
 */
export function refuseTracing(label: string): void {
  const probe = numpy.array(0).reshape([1]);
  const traced = !(probe instanceof JaxArray);
  probe.dispose();
  if (traced) failTraced(label);
}

/** The path of leaf `i` in its tree, for messages. */
export function labelOf({ label, def }: Flat, i: number): string {
  return label + pathsOf(def)[i]!;
}

const IDENTIFIER = /^[A-Za-z_$][\w$]*$/;

/** The path of each leaf as JavaScript writes it: `.layers[0].w`, `['a b']`; empty for a tree that is one leaf. */
export function pathsOf(def: JsTreeDef, path = ""): string[] {
  if (def.nodeType === tree.NodeType.Leaf) return [path];
  return def.childTreedefs.flatMap((child, i) => pathsOf(child, path + stepTo(def, i)));
}

/** The part of a path that leads from a node to its i-th child. */
export function stepTo(def: JsTreeDef, i: number): string {
  if (def.nodeType === tree.NodeType.Array) return `[${i}]`;
  const key = keysOf(def)[i]!;
  return IDENTIFIER.test(key) ? `.${key}` : `['${JSON.stringify(key).slice(1, -1)}']`;
}

export function keysOf(def: JsTreeDef): readonly string[] {
  return def.nodeMetadata as string[];
}

/** Checks that trees have the same structure and shapes. @throws RangeError `ERR_SHAPE_MISMATCH` naming the first place */
export function checkFits(
  expected: { readonly leaves: readonly { readonly shape: number[] }[]; readonly def: JsTreeDef },
  got: Flat,
): void {
  checkStructure(got.label, expected.def, got.def);
  expected.leaves.forEach(({ shape }, i) => {
    const other = got.leaves[i]!.shape;
    if (shape.length !== other.length || shape.some((size, axis) => size !== other[axis])) {
      fail(RangeError, "ERR_SHAPE_MISMATCH", labelOf(got, i), `the shape ${showShape(shape)}`, showShape(other));
    }
  });
}

function checkStructure(label: string, expected: JsTreeDef, got: JsTreeDef): void {
  const [one, other] = [describe(expected), describe(got)];
  if (one !== other) fail(RangeError, "ERR_SHAPE_MISMATCH", label, one, other);
  expected.childTreedefs.forEach((child, i) => {
    checkStructure(label + stepTo(expected, i), child, got.childTreedefs[i]!);
  });
}

/** A node of a tree, without its children. */
function describe(def: JsTreeDef): string {
  if (def.nodeType === tree.NodeType.Leaf) return "an array of numbers";
  if (def.nodeType === tree.NodeType.Array) return `a list of ${def.childTreedefs.length}`;
  return `an object with the keys ${JSON.stringify(keysOf(def))}`;
}

/** The references that a call uses up: counted before it changes anything, released when it has succeeded. */
export class Uses {
  readonly #flats: readonly Flat[];

  /** @throws Error `ERR_DISPOSED` for an array that is freed, or passed more often than it has references */
  constructor(...flats: Flat[]) {
    this.#flats = flats;
    const counts = new Map<JaxArray, number>();
    for (const flat of flats) {
      flat.leaves.forEach((leaf, i) => {
        const count = (counts.get(leaf) ?? 0) + 1;
        counts.set(leaf, count);
        if (count <= leaf.refCount) return;
        const got = leaf.refCount === 0 ? "a freed one" : `one with ${leaf.refCount} for ${count}`;
        fail(
          Error,
          "ERR_DISPOSED",
          labelOf(flat, i),
          "an array with a reference (.ref) for each time it is passed",
          got,
        );
      });
    }
  }

  end(): void {
    for (const { leaves } of this.#flats) for (const leaf of leaves) leaf.dispose();
  }
}

export function failNoParams(): never {
  failType("params", "the parameters, because weight decay is on", undefined);
}

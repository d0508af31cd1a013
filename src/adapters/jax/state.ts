import { Array as JaxArray, numpy, tree } from "@jax-js/jax";
import { fail, failRange, failType } from "../../checks/errors.js";
import type { StateDict } from "../../checks/types.js";
import { checkCount, checkObject, own } from "../../checks/values.js";
import { type MomentName, momentsOf } from "../../memory/regions.js";
import { Engine } from "./engine.js";
import { type ArrayTree, checkFits, type Flat, flatten, refuseDevices, takeApart } from "./leaves.js";
import { decaysOf } from "./mask.js";
import type { Settings } from "./settings.js";
import { read } from "./values.js";

/**
 * optax's `ScaleByAdamState`: steps taken, first and second moments, and with AMSGrad `nu_max`, the largest second moments. A tree
 * like any other, except that its arrays are made, by copying, when they are first read.
 */
export type AdamState = {
  /** uint32, a scalar. */
  readonly count: JaxArray;
  /** First moments, in the structure of the parameters. */
  readonly mu: ArrayTree;
  /** Second moments, likewise. */
  readonly nu: ArrayTree;
  readonly [amsgradOnly: string]: ArrayTree;
};

/** The moments' names in optax. */
export const FIELDS: Readonly<Record<MomentName, string>> = { expAvg: "mu", expAvgSq: "nu", maxExpAvgSq: "nu_max" };

const handles = new WeakMap<object, Handle>();

/** What is known of a state whose moments are in an engine. */
class Handle {
  readonly #version: number;
  readonly #made = new Map<string, ArrayTree>();

  constructor(readonly engine: Engine) {
    this.#version = engine.version;
  }

  /** @throws Error `ERR_STALE_STATE` */
  check(): void {
    if (this.#version !== this.engine.version) {
      const expected = "one that no update has used up (tree.ref(state) before an update keeps a copy)";
      fail(Error, "ERR_STALE_STATE", "state", expected, "one whose moments have gone on");
    }
  }

  field(field: string, make: () => ArrayTree): ArrayTree {
    this.check();
    const made = this.#made.get(field) ?? freeze(make());
    this.#made.set(field, made);
    return made;
  }

  /** The arrays that were made. They are used up with the state. */
  get arrays(): Flat[] {
    return [...this.#made].map(([field, made]) => takeApart(`state.${field}`, made));
  }
}

/** The state that an engine is in now. Frozen, because an assignment would not reach the moments. */
export function makeState(engine: Engine): AdamState {
  const handle = new Handle(engine);
  const state = {};
  const define = (field: string, make: () => ArrayTree) =>
    Object.defineProperty(state, field, { enumerable: true, get: () => handle.field(field, make) });
  define("count", () => {
    const { count } = engine;
    if (count >= 2 ** 32) failRange("state.count", "at most 2^32 - 1 steps, which is what its uint32 holds", count);
    return numpy.array(count, { dtype: numpy.uint32 });
  });
  for (const { name } of momentsOf(engine.settings.hyper)) {
    define(FIELDS[name], () => tree.unflatten(engine.def, engine.moments(name)));
  }
  handles.set(state, handle);
  return Object.freeze(state) as AdamState;
}

function freeze(node: ArrayTree): ArrayTree {
  if (node instanceof JaxArray) return node;
  for (const child of Object.values(node)) freeze(child);
  Object.freeze(node);
  return node;
}

export interface Opened {
  /** The engine that has the state's moments. */
  readonly engine: Engine;
  /** Arrays of the state, which are used up with it. */
  readonly arrays: readonly Flat[];
  /** To be called once the call has succeeded: the state can be used no more. */
  end(): void;
}

/**
 * The engine of a state; or a new engine with its moments, for a state of plain arrays (from a checkpoint, from `tree.ref`) and
 * for one of a transformation with other options.
 */
export function openState(settings: Settings, state: unknown, grads: Flat, params: Flat | undefined): Opened {
  const handle = typeof state === "object" && state !== null ? handles.get(state) : undefined;
  if (handle === undefined) return fromArrays(settings, state, grads, params);
  handle.check();
  const { engine, arrays } = handle;
  checkFits(engine, grads);
  // Nothing to do at the end: the engine's next step makes this state useless.
  if (engine.settings === settings) return { engine, arrays, end() {} };
  const copy = new Engine(settings, grads, decaysOf(settings, params ?? grads));
  copy.load(engine.state());
  return { engine: copy, arrays, end: () => void engine.version++ };
}

function fromArrays(settings: Settings, state: unknown, grads: Flat, params: Flat | undefined): Opened {
  const moments = momentsOf(settings.hyper);
  if (tree.structure(state as ArrayTree).nodeType !== tree.NodeType.Object) {
    failType("state", "an object with count, mu and nu, as init makes", state);
  }
  const object = checkObject("state", state, ["count", ...moments.map(({ name }) => FIELDS[name])]);
  const count = takeApart("state.count", own(object, "count"));
  refuseDevices(count);
  const trees = moments.map(({ name }) => flatten(`state.${FIELDS[name]}`, own(object, FIELDS[name])));
  for (const moment of trees) checkFits(grads, moment);

  const engine = new Engine(settings, grads, decaysOf(settings, params ?? grads));
  const step = readCount(count);
  const entries = engine.names.map((name, i) => {
    const values = moments.map(({ key }, j) => [key, read(trees[j]!, i)]);
    return [name, { step, ...Object.fromEntries(values) }];
  });
  engine.load(Object.fromEntries(entries) as StateDict["state"]);
  return { engine, arrays: [count, ...trees], end() {} };
}

export function readCount(count: Flat): number {
  const sizes = count.leaves.map(({ size }) => size);
  if (count.def.nodeType !== tree.NodeType.Leaf || sizes[0] !== 1) {
    fail(RangeError, "ERR_SHAPE_MISMATCH", "state.count", "an array of one number", `arrays of ${sizes.join(", ")}`);
  }
  return checkCount("state.count", read(count, 0)[0]);
}

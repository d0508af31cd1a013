/**
 * Adam and AdamW as jax-js's gradient transformations: trees of arrays in, trees of arrays out, moments in linear memory.
 *
 * @packageDocumentation
 */
import { type Array as JaxArray, tree } from "@jax-js/jax";
import { Engine } from "./adapters/jax/engine.js";
import {
  type ArrayTree,
  areOnGpu,
  checkFits,
  type Flat,
  failNoParams,
  flatten,
  refuseTracing,
  Uses,
} from "./adapters/jax/leaves.js";
import { decaysOf } from "./adapters/jax/mask.js";
import { initOnDevice, type Mode, stepOnDevice } from "./adapters/jax/onDevice.js";
import { readSettings, type Settings, type TransformationOptions } from "./adapters/jax/settings.js";
import { type AdamState, makeState, type Opened, openState } from "./adapters/jax/state.js";
import { ADAM, ADAMW } from "./optimizer/variant.js";

export type { ErrorCode, FusedAdamError } from "./checks/errors.js";
export type { AdamOptions, KernelChoice, Schedule } from "./checks/types.js";
export type { AdamState, ArrayTree, TransformationOptions };

/** What jax-js's optax calls a gradient transformation. */
export interface GradientTransformation {
  /** The state before the first step. */
  init<Params extends ArrayTree>(params: Params): ArrayTree;
  /** What to add to each parameter, and the next state. */
  update<Params extends ArrayTree>(updates: Params, state: ArrayTree, params?: Params): [Params, ArrayTree];
}

/**
 * Adam over trees of float32 arrays. Every argument is used up, as by jax-js's own functions: pass `tree.ref(params)` for what
 * is needed afterwards. A call that throws has used up nothing and changed nothing, unless jax-js could not hold the results:
 * then the step was taken, and its state is gone.
 */
export interface FusedTransformation extends GradientTransformation {
  /**
   * The state before the first step.
   *
   * @throws TypeError, RangeError for a tree without arrays, or not of float32 arrays; Error `ERR_TRACED` under `jit`,
   * `grad` or `vmap`, `ERR_BACKEND` for arrays on webgl, or on webgpu with `clipNorm` or `skipNonFinite`
   */
  init<Params extends ArrayTree>(params: Params): AdamState;

  /**
   * What to add to each parameter, and the next state.
   *
   * Without decay p + update has the bits of `Adam`'s and `AdamW`'s own new value. A leaf that decays gets the rounded
   * difference: p + update has those bits where the new value lies between p / 2 and 2p, and elsewhere is within
   * 2^-23 of |new - p|.
   *
   * @param updates gradients, float32, in the structure of the parameters
   * @param params needed where anything decays, else only checked
   * @throws TypeError, RangeError for trees that do not fit; Error `ERR_TRACED` under `jit`, `grad` or `vmap`,
   * `ERR_STALE_STATE` for a state that an earlier call has used up, `ERR_UNREADABLE` for values that must be waited for, `ERR_BACKEND` for arrays
   * on webgl, or on webgpu with `clipNorm` or `skipNonFinite`
   */
  update<Params extends ArrayTree>(updates: Params, state: ArrayTree, params?: Params): [Params, AdamState];

  /**
   * `update` and its addition in one: the new parameters, with the bits of `Adam` and `AdamW`, and the next state.
   * Parameters that the step before returned are not read again.
   *
   * @param updates gradients, float32, in the structure of the parameters
   * @throws what `update` does
   */
  step<Params extends ArrayTree>(updates: Params, state: ArrayTree, params: Params): [Params, AdamState];
}

/**
 * Adam (Kingma & Ba 2015) for jax-js, eager. `weightDecay` is coupled: λθ is added to the gradient. Default 0.
 *
 * @throws TypeError, RangeError for an option that is not legal or not known
 */
export function adam<Params extends ArrayTree = ArrayTree>(
  options?: TransformationOptions<Params>,
): FusedTransformation {
  return transformation(readSettings(ADAM, options));
}

/**
 * AdamW (Loshchilov & Hutter 2019) for jax-js, eager. `weightDecay` is decoupled, the same for every element. Default 0.01,
 * PyTorch's (optax has 1e-4).
 *
 * @throws TypeError, RangeError for an option that is not legal or not known
 * @example
 * import { numpy as np, tree } from "@jax-js/jax";
 * import { adamw } from "fused-adam/jax";
 *
 * const optimizer = adamw({ lr: 1e-3, mask: { w: true, b: false } });
 * let params = { w: np.array([1, 2]), b: np.array(0.5) };
 * let state = optimizer.init(tree.ref(params));
 * // By grad(loss)(tree.ref(params), …).
 * const grads = { w: np.array([3, 4]), b: np.array(-1) };
 * [params, state] = optimizer.step(grads, state, params);
 */
export function adamw<Params extends ArrayTree = ArrayTree>(
  options?: TransformationOptions<Params>,
): FusedTransformation {
  return transformation(readSettings(ADAMW, options));
}

/** Closures, not methods, because optax's `chain` calls `init` and `update` without their object. */
function transformation(settings: Settings): FusedTransformation {
  const run = <Params>(name: Mode, updates: unknown, state: unknown, params: unknown): [Params, AdamState] => {
    const trees = readTrees(name, updates, params);
    const { grads } = trees;
    if (areOnGpu(grads, ...(trees.params === undefined ? [] : [trees.params]))) {
      const [arrays, next] = stepOnDevice(settings, name, grads, state, trees.params);
      return [tree.unflatten(grads.def, arrays) as Params, next];
    }
    const call = open(settings, trees, state);
    const { engine } = call;
    return close(call, name === "update" ? engine.update(grads, trees.params) : engine.step(grads, trees.params!));
  };
  return {
    init(params) {
      const flat = flatten("params", params);
      refuseTracing("init");
      if (areOnGpu(flat)) return initOnDevice(settings, flat);
      const uses = new Uses(flat);
      const engine = new Engine(settings, flat, decaysOf(settings, flat));
      uses.end();
      return makeState(engine);
    },
    update: (updates, state, params) => run("update", updates, state, params),
    step: (updates, state, params) => run("step", updates, state, params),
  };
}

interface Trees {
  readonly grads: Flat;
  readonly params: Flat | undefined;
}

interface Call extends Opened {
  readonly uses: Uses;
}

function readTrees(name: Mode, updates: unknown, params: unknown): Trees {
  const grads = flatten("updates", updates);
  const values = name === "update" && params === undefined ? undefined : flatten("params", params);
  refuseTracing(name);
  if (values !== undefined) checkFits(values, grads);
  return { grads, params: values };
}

/** Everything else that can be wrong with a call's arguments, found before anything changes. */
function open(settings: Settings, { grads, params }: Trees, state: unknown): Call {
  const opened = openState(settings, state, grads, params);
  if (params === undefined && opened.engine.needsParams) failNoParams();
  return { ...opened, uses: new Uses(grads, ...(params === undefined ? [] : [params]), ...opened.arrays) };
}

/** Uses up a call's arguments, and returns its results. */
function close<Params>({ engine, end, uses }: Call, arrays: JaxArray[]): [Params, AdamState] {
  uses.end();
  end();
  return [tree.unflatten(engine.def, arrays) as Params, makeState(engine)];
}

/** jax-js as tests need it: with its live buffers counted, and its own Adam written from its operations. */
import type { Array as JaxArray, JsTree } from "@jax-js/jax";
import { randomBits } from "./data.js";

const { Map: PlainMap } = globalThis;
const maps: Map<unknown, unknown>[] = [];
globalThis.Map = class<K, V> extends PlainMap<K, V> {
  constructor(...args: ConstructorParameters<typeof PlainMap<K, V>>) {
    super(...args);
    maps.push(this);
  }
} as MapConstructor;
/** Loaded here and nowhere before: its backends keep their buffers in maps that are made when it loads. */
export const jax = await import("@jax-js/jax");
globalThis.Map = PlainMap;
export const { adam, adamw } = await import("fused-adam/jax");

export const { numpy: np, tree } = jax;
export type Tree<T = JaxArray> = JsTree<T>;
export type { JaxArray };

let buffers: Map<unknown, unknown>[] | undefined;

/** The only maps from numbers to what has a reference count; seen with one array on each of the two backends that Node has. */
function findBuffers(): Map<unknown, unknown>[] {
  const probes = (["wasm", "cpu"] as const).map((device) => np.array([1, 2], { device }));
  const found = maps.filter((map) => [...map.values()].some((value) => Object.hasOwn(value as object, "ref")));
  for (const probe of probes) probe.dispose();
  if (found.length !== 2) throw new Error(`expected the buffers of 2 backends, found ${found.length}`);
  return found;
}

/** Buffers that jax-js holds for arrays that are alive. Wants to be the first that loads jax-js. */
export function liveBuffers(): number {
  buffers ??= findBuffers();
  return buffers.reduce((sum, map) => sum + map.size, 0);
}

export function arrayOf(values: Float32Array, shape: number[] = [values.length], device?: "cpu" | "wasm"): JaxArray {
  const options = { shape, ...(device && { device }) };
  return values.length === 0 ? np.zeros(shape, options) : np.array(values as Float32Array<ArrayBuffer>, options);
}

/** A leaf's values, leaving the leaf alive. */
export function valuesOf(array: JaxArray): Float32Array {
  return array.ref.dataSync() as Float32Array;
}

/** `applyUpdates` of jax-js's optax. Uses up both. */
export function applyUpdates<T extends Tree>(params: T, updates: T): T {
  return tree.map((p: JaxArray, u: JaxArray) => p.add(u), params, updates) as T;
}

/** Moments of jax-js's own Adam, and the steps they took. */
export interface OpsState<T> {
  readonly step: number;
  readonly mu: T;
  readonly nu: T;
}

export function opsState<T extends Tree>(params: T): OpsState<T> {
  const zeros = () => tree.map((x: JaxArray) => np.zerosLike(x), tree.ref(params)) as T;
  const state = { step: 0, mu: zeros(), nu: zeros() };
  tree.dispose(params);
  return state;
}

/**
 * A step of Adam, or with decay of AdamW, as optax does it, from jax-js's operations: moments, corrected moments, quotient,
 * decay, rate. Uses up its arguments. 1 − β^t comes from outside in float64, because jax-js's `power` has float32.
 *
 * @param decays which leaves decay, in order
 */
export function opsStepper<T extends Tree>(
  { lr, b1 = 0.9, b2 = 0.999, eps = 1e-8, weightDecay = 0 }: Record<string, number> & { lr: number },
  decays: readonly boolean[],
) {
  const kernels = jax.jit((grads: Tree, mu: Tree, nu: Tree, params: Tree, bc1: JaxArray, bc2: JaxArray) => {
    const m = tree.map((g: JaxArray, m: JaxArray) => g.mul(1 - b1).add(m.mul(b1)), tree.ref(grads), mu) as Tree;
    const v = tree.map(
      (g: JaxArray, v: JaxArray) =>
        np
          .square(g)
          .mul(1 - b2)
          .add(v.mul(b2)),
      grads,
      nu,
    ) as Tree;
    let leaf = 0;
    const update = (p: JaxArray, m: JaxArray, v: JaxArray) => {
      const quotient = m.div(bc1.ref).div(np.sqrt(v.div(bc2.ref)).add(eps));
      const decayed = decays[leaf++] ? quotient.add(p.ref.mul(weightDecay)) : quotient;
      return p.sub(decayed.mul(lr));
    };
    const p = tree.map(update, params, tree.ref(m), tree.ref(v)) as Tree;
    bc1.dispose();
    bc2.dispose();
    return [p, m, v] as [Tree, Tree, Tree];
  });
  return (grads: T, state: OpsState<T>, params: T): [T, OpsState<T>] => {
    const step = state.step + 1;
    // Two values, so that jax-js does not compile them in as constants.
    const corrections = np.array([1 - b1 ** step, 1 - b2 ** step]);
    const [bc1, bc2] = [corrections.ref.slice(0), corrections.slice(1)];
    const [p, mu, nu] = kernels(grads, state.mu, state.nu, params, bc1, bc2) as unknown as [T, T, T];
    return [p, { step, mu, nu }];
  };
}

export type Network = {
  layers: { w: JaxArray; b: JaxArray }[];
  scale: JaxArray;
};

function uniform(shape: number[], seed: number, bound: number): JaxArray {
  const next = randomBits(seed);
  const length = shape.reduce((product, size) => product * size, 1);
  return arrayOf(
    Float32Array.from({ length }, () => bound * ((2 * next()) / 2 ** 32 - 1)),
    shape,
  );
}

/** 8 → 16, tanh → 1, and a scalar that multiplies the answer: a list inside an object, and every rank up to 2. */
export function network(seed: number): Network {
  return {
    layers: [
      { w: uniform([8, 16], seed, 0.6), b: np.zeros([16]) },
      { w: uniform([16, 1], seed + 1, 0.4), b: np.zeros([1]) },
    ],
    scale: np.array(1),
  };
}

/** Mean squared error against a fixed function of 64 fixed points, and its gradients. Uses up the parameters. */
export const lossAndGrads = (() => {
  const x = uniform([64, 8], 11, 1);
  const y = np.sin(x.ref.sum(1)).reshape([64, 1]);
  const loss = ({ layers: [first, second], scale }: Network) => {
    const hidden = np.tanh(np.dot(x.ref, first!.w).add(first!.b));
    const answer = np.dot(hidden, second!.w).add(second!.b).mul(scale);
    return np.square(answer.sub(y.ref)).mean();
  };
  return jax.jit(jax.valueAndGrad(loss)) as unknown as (params: Network) => [JaxArray, Network];
})();

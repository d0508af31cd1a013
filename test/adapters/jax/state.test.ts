/** `fused-adam/jax`: states as values, and whose every array is. */
import type { AdamState, FusedTransformation } from "fused-adam/jax";
import { cosine } from "fused-adam/schedules";
import { describe, expect, it } from "vitest";
import { caught, expectError, stateError } from "../../support/api.js";
import { expectSameBits } from "../../support/bits.js";
import { HOST, on, ranInVitest, unless } from "../../support/host.js";
import {
  adam,
  adamw,
  applyUpdates,
  arrayOf,
  type JaxArray,
  jax,
  liveBuffers,
  lossAndGrads,
  type Network,
  network,
  np,
  type Tree,
  tree,
  valuesOf,
} from "../../support/jax.js";
import { dyadic } from "../../support/model.js";

const STALE = stateError("state", "ERR_STALE_STATE");

function expectSameTree(label: string, actual: Tree, expected: Tree): void {
  expect(tree.structure(actual).toString(), label).toBe(tree.structure(expected).toString());
  const [ours, theirs] = [tree.leaves(actual), tree.leaves(expected)];
  for (const [i, leaf] of ours.entries()) {
    expect(leaf.shape, label).toEqual(theirs[i]!.shape);
    expectSameBits(`${label}, leaf ${i}`, valuesOf(leaf), valuesOf(theirs[i]!));
  }
}

type Small = { w: JaxArray; b: JaxArray[] };
/** Large enough to have buffers, which constants have not. */
const small = (seed: number): Small => ({ w: arrayOf(dyadic(12, seed), [3, 4]), b: [arrayOf(dyadic(3, seed + 1))] });

/** `count` steps from `from`, each with gradients of its own. */
function walk(
  optimizer: FusedTransformation,
  [params, state]: [Small, Tree],
  first: number,
  count: number,
): [Small, AdamState] {
  for (let t = first; t < first + count; t++) [params, state] = optimizer.step(small(100 * t), state, params);
  return [params, state as AdamState];
}

function start(optimizer: FusedTransformation): [Small, AdamState] {
  const params = small(1);
  return [params, optimizer.init(tree.ref(params))];
}

const unlessBrief = unless(HOST.brief && ranInVitest("takes long, in jax-js"));

describe("1,000 steps leave as many live buffers as there were after the first", unlessBrief, () => {
  const optimizer = adamw({ mask: (params: Network) => tree.map((p: JaxArray) => p.ndim > 1, params) as never });
  const runs: Record<string, (grads: Network, state: AdamState, params: Network) => [Network, AdamState]> = {
    step: (grads, state, params) => optimizer.step(grads, state, params),
    update: (grads, state, params) => {
      const [updates, next] = optimizer.update(grads, state, tree.ref(params));
      return [applyUpdates(params, updates), next];
    },
    "update, looking at every state": (grads, state, params) => {
      const copy = tree.ref(state);
      const [updates, next] = optimizer.update(grads, state, tree.ref(params));
      tree.dispose(copy);
      return [applyUpdates(params, updates), next];
    },
    "a step that is refused before each": (grads, state, params) => {
      expect(() => optimizer.step({ ...grads, scale: np.zeros([2]) }, state, params)).toThrow(/updates.scale/);
      expect(() => optimizer.update(grads, state)).toThrow(/weight decay/);
      return optimizer.step(grads, state, params);
    },
  };
  it.each(Object.keys(runs))(
    "%s",
    (name) => {
      let params = network(3);
      let state = optimizer.init(tree.ref(params));
      const live: number[] = [];
      for (let t = 0; t <= 1000; t++) {
        const [loss, grads] = lossAndGrads(tree.ref(params));
        loss.dispose();
        [params, state] = runs[name]!(grads, state, params);
        // What is pending holds on to its inputs.
        for (const leaf of tree.leaves(params as Tree)) valuesOf(leaf);
        expect(tree.leaves(grads as Tree).map(({ refCount }) => refCount)).toEqual([0, 0, 0, 0, 0]);
        expect(tree.leaves(params as Tree).map(({ refCount }) => refCount)).toEqual([1, 1, 1, 1, 1]);
        live.push(liveBuffers());
      }
      expect(new Set(live.slice(1))).toEqual(new Set([live[1]]));
      tree.dispose(state);
      tree.dispose(params);
      expect(liveBuffers()).toBeLessThanOrEqual(live[1]!);
    },
    120_000,
  );
});

describe("arguments", () => {
  it("are used up once each; what was passed with .ref stays, and with its values", () => {
    const optimizer = adam();
    const [params, grads] = [small(1), small(2)];
    const state = optimizer.init(tree.ref(params));
    expect(tree.leaves(params as Tree).map(({ refCount }) => refCount)).toEqual([1, 1]);
    const [updates] = optimizer.update(tree.ref(grads), state, tree.ref(params));
    for (const leaf of tree.leaves<JaxArray>([params, grads, updates] as Tree)) expect(leaf.refCount).toBe(1);
    expectSameTree("params", params, small(1));
    expectSameTree("grads", grads, small(2));
    const kept = tree.leaves<JaxArray>([params, grads] as Tree);
    optimizer.step(grads, optimizer.init(tree.ref(params)), params);
    for (const leaf of kept) expect(leaf.refCount).toBe(0);
  });

  it("results are nobody else's: later steps do not change them", () => {
    for (const device of ["wasm", "cpu"] as const) {
      jax.defaultDevice(device);
      const optimizer = adam({ lr: 0.5 });
      const first = optimizer.step(small(2), optimizer.init(small(1)), small(1));
      const moments = tree.ref(first[1]) as AdamState;
      const [before, mu] = [tree.leaves(first[0] as Tree).map(valuesOf), tree.leaves(moments.mu).map(valuesOf)];
      walk(optimizer, [tree.ref(first[0]), first[1]], 5, 3);
      for (const [i, leaf] of tree.leaves(first[0] as Tree).entries()) expectSameBits("p", valuesOf(leaf), before[i]!);
      for (const [i, leaf] of tree.leaves(moments.mu).entries()) expectSameBits("mu", valuesOf(leaf), mu[i]!);
      jax.defaultDevice("wasm");
    }
  });

  it("the same array twice, with a reference for each", () => {
    const optimizer = adam({ lr: 0.5 });
    const x = arrayOf(dyadic(5, 1));
    const [{ a, b }] = optimizer.step({ a: x.ref, b: x.ref }, optimizer.init({ a: x.ref, b: x.ref }), {
      a: x.ref,
      b: x,
    });
    expect(x.refCount).toBe(0);
    expectSameTree("a and b", a!, b!);
  });

  it("results are where the arguments are", () => {
    const on = (seed: number) => arrayOf(dyadic(200, seed), [200], "cpu");
    const optimizer = adamw();
    const [update, state] = optimizer.update(on(2), optimizer.init(on(1)), on(1));
    const [param, next] = optimizer.step(on(2), tree.ref(state) as AdamState, on(1));
    expect([update, param, state.mu, next.nu].map((array) => (array as JaxArray).device)).toEqual(Array(4).fill("cpu"));
  });

  it("zero gradients change no bit of a parameter that does not decay, and none of -0 that does", () => {
    const special = [-0, 0, 2 ** -149, -Infinity, NaN, 1, -3e38, 2 ** -130];
    for (const [mask, kinds] of [
      [false, special],
      [true, [-0, 0]],
    ] as const) {
      // So many that jax-js does not take an update of zeros for a constant, which it would leave out of the sum.
      const values = Float32Array.from({ length: 300 }, (_, i) => kinds[i % kinds.length]!);
      const optimizer = adamw({ mask, weightDecay: 0.5 });
      const zeros = () => np.zeros([values.length]);
      const params = arrayOf(values);
      const [updates, state] = optimizer.update(zeros(), optimizer.init(params.ref), params.ref);
      expectSameBits("update", valuesOf(applyUpdates(params.ref, updates)), values);
      expectSameBits("step", valuesOf(optimizer.step(zeros(), state, params)[0]), values);
    }
  });

  it("params may be left out where nothing decays", () => {
    const optimizer = adam({ lr: 0.5 });
    const [withParams] = optimizer.update(small(2), optimizer.init(small(1)), small(1));
    const [without] = optimizer.update(small(2), optimizer.init(small(1)));
    expectSameTree("updates", without, withParams);
  });

  it("init and update work apart from their object, as optax's chain takes them", () => {
    const { init, update } = adam();
    expect(update(small(2), init(small(1)))[1].count.ref.item()).toBe(1);
  });

  it("parameters that were put in the place of those the step before returned are read", () => {
    const optimizer = adam({ lr: 0.5 });
    const [params, state] = walk(optimizer, start(optimizer), 0, 3);
    const copyOf = (leaf: JaxArray) => arrayOf(valuesOf(leaf), leaf.shape);
    const copy = tree.map((leaf: JaxArray) => leaf.mul(1), tree.ref(state)) as Tree;
    const [right] = optimizer.step(small(7), copy, { w: copyOf(params.w), b: small(8).b });
    const [left] = optimizer.step(small(7), state, { w: params.w, b: small(8).b });
    expectSameTree("params", left, right);
  });
});

it("parameters from before an update are read again", () => {
  const optimizer = adam({ lr: 0.5 });
  const [params, state] = walk(optimizer, start(optimizer), 0, 3);
  const [, updated] = optimizer.update(small(7), state, tree.ref(params));
  const plain = tree.map((leaf: JaxArray) => leaf.mul(1), tree.ref(updated)) as Tree;
  const [expected] = optimizer.step(small(8), plain, tree.ref(params));
  const [actual] = optimizer.step(small(8), updated, params);
  expectSameTree("params", actual, expected);
});

it("a mask may use up the parameters it is given, or not, or keep its answer from them", () => {
  const masks: ((params: Small) => Tree<boolean>)[] = [
    (params) => tree.map((p: JaxArray) => p.ndim > 1, params) as unknown as Tree<boolean>,
    (params) => {
      tree.dispose(params);
      return { w: true, b: [false] };
    },
    ({ w, b }) => ({ w: w.ref.sum().item() < 1e9, b: b.map((leaf) => leaf.ndim > 1) }),
  ];
  const results = masks.map((mask) => {
    const optimizer = adamw({ mask, weightDecay: 0.5, lr: 0.5 });
    const params = small(1);
    const state = optimizer.init(tree.ref(params));
    expect(tree.leaves(params as Tree).map(({ refCount }) => refCount)).toEqual([1, 1]);
    return optimizer.step(small(2), state, params)[0];
  });
  for (const result of results.slice(1)) expectSameTree("params", result, results[0]!);
  const [undecayed] = adamw({ weightDecay: 0, lr: 0.5 }).step(small(2), adam().init(small(1)), small(1));
  expectSameTree("b", results[0]!.b, undecayed.b);
  expect(() => expectSameTree("w", results[0]!.w, undecayed.w)).toThrow(/element/);
});

describe("a state", () => {
  const options = { lr: cosine({ lr: 0.5, steps: 40 }), weightDecay: 0.1, amsgrad: true } as const;
  const optimizer = adamw(options);
  const unbroken = walk(optimizer, start(optimizer), 0, 20);

  it("is optax's tree: count, mu, nu, with AMSGrad nu_max; uint32 and float32, in the parameters' structure", () => {
    const [params, state] = walk(optimizer, start(optimizer), 0, 3);
    expect(Object.keys(state)).toEqual(["count", "mu", "nu", "nu_max"]);
    expect(Object.keys(adam().init(small(1)))).toEqual(["count", "mu", "nu"]);
    expect([state.count.dtype, state.count.shape, state.count.ref.item()]).toEqual(["uint32", [], 3]);
    for (const moment of [state.mu, state.nu, state.nu_max!]) {
      expect(tree.structure(moment).equals(tree.structure(params as Tree))).toBe(true);
    }
    expect(state.mu).toBe(state.mu);
    expect(() => Object.assign(state.mu as Small, { w: np.zeros([3, 4]) })).toThrow(TypeError);
    expect(() => Object.assign(state, { trace: params })).toThrow(TypeError);
    expect(() => Object.assign(state, { mu: params })).toThrow(TypeError);
  });

  it("goes on through tree.ref, tree.map and a checkpoint of plain numbers as if nothing had been, bit for bit", () => {
    const detours: Record<string, (state: AdamState) => Tree> = {
      "tree.ref": (state) => {
        const copy = tree.ref(state);
        tree.dispose(state);
        return copy;
      },
      "tree.map": (state) => tree.map((x: JaxArray) => x.mul(1), state) as Tree,
      JSON: (state) => {
        const text = JSON.stringify(
          tree.map((x: JaxArray) => ({ shape: x.shape, dtype: x.dtype, data: [...x.dataSync()] }), state),
        );
        const read = (node: unknown): Tree => {
          const { shape, dtype, data } = node as { shape?: number[]; dtype: string; data: number[] };
          if (shape !== undefined) return np.array(data, { shape, dtype: dtype as never });
          if (Array.isArray(node)) return node.map(read);
          return Object.fromEntries(Object.entries(node as object).map(([key, child]) => [key, read(child)]));
        };
        return read(JSON.parse(text));
      },
      "another transformation with the same options": (state) => state,
    };
    for (const [name, detour] of Object.entries(detours)) {
      const second = name.startsWith("another") ? adamw(options) : optimizer;
      const [params, state] = walk(optimizer, start(optimizer), 0, 7);
      const [end, last] = walk(second, [params, detour(state)], 7, 13);
      expectSameTree(`params after ${name}`, end, unbroken[0]);
      expectSameTree(`state after ${name}`, last, unbroken[1]);
    }
  });

  it("may go two ways from tree.ref", () => {
    const [params, state] = walk(optimizer, start(optimizer), 0, 7);
    const [left] = walk(optimizer, [tree.ref(params), tree.ref(state) as AdamState], 7, 13);
    const [right] = walk(optimizer, [params, state], 7, 13);
    expectSameTree("left", left, unbroken[0]);
    expectSameTree("right", right, unbroken[0]);
  });

  it("may go on at other options, as optax's may", () => {
    const [params, state] = walk(optimizer, start(optimizer), 0, 7);
    const half = adamw({ ...options, lr: 0.25 });
    const plain = tree.map((x: JaxArray) => x.mul(1), tree.ref(state)) as AdamState;
    const [left] = walk(half, [tree.ref(params), plain], 7, 3);
    const [right, last] = walk(half, [params, state], 7, 3);
    expectSameTree("params", left, right);
    expect(last.count.ref.item()).toBe(10);
  });

  it("that was used up is refused, by every transformation, by its properties and by tree.ref; the latest goes on", async () => {
    const [params, old] = walk(optimizer, start(optimizer), 0, 7);
    const [next, latest] = walk(optimizer, [tree.ref(params), old], 7, 1);
    for (const use of [
      () => optimizer.update(tree.ref(params), old, tree.ref(params)),
      () => optimizer.step(tree.ref(params), old, tree.ref(params)),
      () => adamw(options).step(tree.ref(params), old, tree.ref(params)),
      () => old.mu,
      () => tree.ref(old),
      () => tree.dispose(old),
    ]) {
      expectError(await caught(use), STALE);
      for (const leaf of tree.leaves(params as Tree)) while (leaf.refCount > 1) leaf.dispose();
    }
    const [end] = walk(optimizer, [next, latest], 8, 12);
    expectSameTree("params", end, unbroken[0]);
  });

  it("that another transformation has taken over is used up too", async () => {
    const [params, old] = walk(optimizer, start(optimizer), 0, 7);
    walk(adamw(options), [tree.ref(params), old], 7, 1);
    expectError(await caught(() => optimizer.step(small(1), old, params)), STALE);
  });

  it("whose arrays were freed is refused", async () => {
    const [params, state] = walk(optimizer, start(optimizer), 0, 7);
    (state.nu as Small).b[0]!.dispose();
    const refused = await caught(() => optimizer.step(small(1), state, params));
    expectError(refused, stateError("state.nu.b[0]", "ERR_DISPOSED"));
  });

  it("counts what was skipped as not taken", () => {
    const careful = adam({ skipNonFinite: true, lr: 0.5 });
    const [params, state] = walk(careful, start(careful), 0, 2);
    const nan = { w: np.full([3, 4], NaN), b: [np.zeros([3])] };
    const before = tree.ref(state) as AdamState;
    const [updates, skipped] = careful.update(nan, state, tree.ref(params));
    expectSameTree("state", skipped, before);
    expectSameTree("params", applyUpdates(tree.ref(params), updates), params);
    expect(skipped.count.ref.item()).toBe(2);
  });

  const unlessBun = unless(on("bun") && "takes long in Bun, in jax-js");
  it("1,000 of them from init, and 200 read back, are no burden", unlessBun, () => {
    const values = new Set<number>();
    for (let i = 0; i < 1000; i++) values.add(optimizer.init(small(1)).count.item());
    let [params, state] = start(optimizer);
    for (let i = 0; i < 200; i++) {
      const copy = tree.ref(state) as AdamState;
      tree.dispose(state);
      [params, state] = optimizer.step(small(i), copy, params);
    }
    expect([[...values], state.count.item()]).toEqual([[0], 200]);
  });
});

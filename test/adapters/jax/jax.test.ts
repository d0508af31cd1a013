/** `fused-adam/jax`: the arithmetic, against jax-js's own operations and bit for bit against the float32 reference. */
import type { TransformationOptions } from "fused-adam/jax";
import { linearWarmup } from "fused-adam/schedules";
import { afterEach, describe, expect, it } from "vitest";
import { type ReferenceState, referenceNorm, referenceStep } from "../../reference.js";
import { expectSameBits } from "../../support/bits.js";
import { ordinary } from "../../support/data.js";
import {
  adam,
  adamw,
  applyUpdates,
  arrayOf,
  type JaxArray,
  jax,
  lossAndGrads,
  type Network,
  network,
  opsState,
  opsStepper,
  type Tree,
  tree,
  valuesOf,
} from "../../support/jax.js";
import { dyadic, hyperOf } from "../../support/model.js";

afterEach(() => {
  jax.defaultDevice("wasm");
});

/** As masks for optax are written: it uses up what it is given. */
function matrices(params: Tree): Tree<boolean> {
  return tree.map((p: JaxArray) => {
    const { ndim } = p;
    p.dispose();
    return ndim > 1;
  }, params) as Tree<boolean>;
}

type Unit = (theirs: number, leaf: number, i: number) => number;

/** Largest |ours - theirs| / unit over all elements. */
function worst(ours: Tree, theirs: Tree, unit: Unit): number {
  const expected = tree.leaves(theirs).map(valuesOf);
  const errors = tree.leaves(ours).flatMap((leaf, j) =>
    Array.from(valuesOf(leaf), (x, i) => {
      const error = Math.abs(x - expected[j]![i]!);
      return error === 0 ? 0 : error / unit(expected[j]![i]!, j, i);
    }),
  );
  return errors.includes(NaN) ? NaN : Math.max(...errors);
}

const [LR, STEPS] = [0.01, 200];
const CASES = [
  { name: "adam: p within 3e-7 of lr·t + |p|", make: () => adam({ lr: LR }), weightDecay: 0, bound: 3e-7 },
  {
    name: "adamw, matrices decay: p within 2e-6 of lr·t + |p|",
    make: () => adamw({ lr: LR, weightDecay: 0.1, mask: matrices }),
    weightDecay: 0.1,
    bound: 2e-6,
  },
];

describe("200 steps of a network, against jax-js's operations: m bit for bit, v within 5e-7 relative", () => {
  const decays = tree.leaves(network(1)).map(({ ndim }) => ndim > 1);
  it.each(CASES)("$name", ({ make, weightDecay, bound }) => {
    const optimizer = make();
    const theirStep = opsStepper<Network>({ lr: LR, weightDecay }, decays);
    let theirs = network(1);
    let [updated, stepped] = [network(1), network(1)];
    let theirState = opsState(network(1));
    let [state, stepState] = [optimizer.init(network(1)), optimizer.init(network(1))];
    const losses: number[] = [];
    for (let t = 1; t <= STEPS; t++) {
      const [loss, grads] = lossAndGrads(tree.ref(theirs));
      losses.push(loss.item());
      const [updates, next] = optimizer.update(tree.ref(grads), state, tree.ref(updated));
      state = next;
      updated = applyUpdates(updated, updates);
      [stepped, stepState] = optimizer.step(tree.ref(grads), stepState, stepped);
      [theirs, theirState] = theirStep(grads, theirState, theirs);
    }
    expect(losses.at(-1)! / losses[0]!).toBeLessThan(0.01);
    for (const [params, { count, mu, nu }] of [
      [updated, state],
      [stepped, stepState],
    ] as const) {
      expect(count.ref.item()).toBe(STEPS);
      expect(worst(mu, theirState.mu, () => Number.MIN_VALUE)).toBe(0);
      expect(worst(nu, theirState.nu, (v) => v)).toBeLessThan(5e-7);
      expect(worst(params, theirs, (p) => LR * STEPS + Math.abs(p))).toBeLessThan(bound);
    }
  });

  it.each(CASES)("$name, each on gradients of its own: losses within 2e-5 relative", ({ make, weightDecay }) => {
    const optimizer = make();
    const theirStep = opsStepper<Network>({ lr: LR, weightDecay }, decays);
    let [ours, theirs] = [network(1), network(1)];
    let state = optimizer.init(network(1));
    let theirState = opsState(network(1));
    let losses = [NaN, NaN];
    for (let t = 1; t <= STEPS; t++) {
      const [[loss, grads], [theirLoss, theirGrads]] = [lossAndGrads(tree.ref(ours)), lossAndGrads(tree.ref(theirs))];
      losses = [loss.item(), theirLoss.item()];
      [ours, state] = optimizer.step(grads, state, ours);
      [theirs, theirState] = theirStep(theirGrads, theirState, theirs);
    }
    expect(Math.abs(losses[0]! / losses[1]! - 1)).toBeLessThan(2e-5);
  });
});

const SHAPES = { w: [7, 3], b: [7], s: [], none: [0, 2], big: [20, 20] };
type Name = keyof typeof SHAPES;
const NAMES = Object.keys(SHAPES) as Name[];
const sizeOf = (name: Name) => SHAPES[name].reduce((product, size) => product * size, 1);

/** A tree with one leaf of every kind, nested, in the order of the names. */
function nest(leaf: (name: Name) => JaxArray) {
  return { list: [leaf("w"), { deep: { b: leaf("b") } }], s: leaf("s"), "a key": [leaf("none"), [leaf("big")]] };
}

function reference(seed: number): ReferenceState[] {
  return NAMES.map((name, i) => {
    const zeros = () => new Float32Array(sizeOf(name));
    const moments = { expAvg: zeros(), expAvgSq: zeros(), maxExpAvgSq: zeros() };
    return { param: ordinary(sizeOf(name), seed + i), grad: zeros(), ...moments, step: 0 };
  });
}

const treeOf = (states: ReferenceState[], key: "param" | "grad", device?: "cpu") =>
  nest((name) => arrayOf(states[NAMES.indexOf(name)]![key], SHAPES[name], device));

const OPTIONS: { title: string; mode: "adam" | "adamw"; options: TransformationOptions; decayed: Name[] }[] = [
  { title: "adam", mode: "adam", options: {}, decayed: [] },
  { title: "adam with L2", mode: "adam", options: { weightDecay: 0.1, lr: 0.01 }, decayed: NAMES },
  { title: "adamw", mode: "adamw", options: {}, decayed: NAMES },
  {
    title: "adamw, one leaf left out",
    mode: "adamw",
    options: { mask: { list: true, s: false, "a key": true } },
    decayed: ["w", "b", "none", "big"],
  },
  {
    title: "adamw, no mask fits all",
    mode: "adamw",
    options: { mask: { list: [true, { deep: false }], s: false, "a key": [false, false] }, weightDecay: 0.5, lr: 0.1 },
    decayed: ["w"],
  },
  { title: "adamw, mask by rank", mode: "adamw", options: { mask: matrices as never }, decayed: ["w", "none", "big"] },
  {
    title: "adamw, a schedule of the decay",
    mode: "adamw",
    options: {
      mask: { list: true, s: false, "a key": true },
      weightDecay: (step) => (step % 3 === 0 ? 0 : 1 / step),
      lr: 0.1,
    },
    decayed: ["w", "b", "none", "big"],
  },
  { title: "nothing decays", mode: "adamw", options: { mask: false }, decayed: [] },
  { title: "amsgrad", mode: "adamw", options: { amsgrad: true, weightDecay: 0 }, decayed: [] },
  {
    title: "everything",
    mode: "adamw",
    options: {
      amsgrad: true,
      maximize: true,
      betas: [0.8, 0.95],
      eps: 1e-6,
      lr: linearWarmup({ lr: 0.1, steps: 10 }),
      biasCorrection: false,
    },
    decayed: NAMES,
  },
  { title: "scalar kernel", mode: "adamw", options: { kernel: "scalar" }, decayed: NAMES },
  { title: "clipping", mode: "adamw", options: { clipNorm: 2 }, decayed: NAMES },
];

describe.each(["wasm", "cpu"] as const)("40 steps on %s against the float32 reference", (device) => {
  /** What the reference does with gradients that `dyadic` made. */
  function expected(states: ReferenceState[], mode: "adam" | "adamw", options: TransformationOptions, decayed: Name[]) {
    const norm = referenceNorm(states.map(({ grad }) => grad));
    const factor = options.clipNorm === undefined ? 1 : Math.min(1, options.clipNorm / norm);
    const { mask: _, clipNorm: __, kernel: ___, skipNonFinite: ____, ...hyper } = options;
    for (const [i, state] of states.entries()) {
      const { lr, weightDecay, ...rest } = hyperOf(mode, hyper as never);
      const at = (value: typeof lr) => (typeof value === "number" ? value : value(state.step + 1));
      const decay = decayed.includes(NAMES[i]!) ? at(weightDecay) : 0;
      const rate = at(lr);
      referenceStep(state, { mode, ...rest, lr: rate, weightDecay: decay }, factor);
    }
  }

  function newGrads(states: ReferenceState[], t: number): void {
    for (const [i, { grad }] of states.entries()) grad.set(dyadic(grad.length, 31 * t + i));
  }

  const make = (mode: "adam" | "adamw", options: TransformationOptions) => (mode === "adam" ? adam : adamw)(options);

  it.each(OPTIONS)("step, bit for bit: $title", ({ mode, options, decayed }) => {
    jax.defaultDevice(device);
    const optimizer = make(mode, options);
    const states = reference(5);
    let params = treeOf(states, "param");
    let state = optimizer.init(tree.ref(params));
    for (let t = 1; t <= 40; t++) {
      newGrads(states, t);
      [params, state] = optimizer.step(treeOf(states, "grad"), state, params);
      expected(states, mode, options, decayed);
    }
    const leaves = tree.leaves(params);
    const moments = [state.mu, state.nu, ...(options.amsgrad ? [state.nu_max!] : [])].map((moment) =>
      tree.leaves(moment),
    );
    for (const [i, name] of NAMES.entries()) {
      const { param, expAvg, expAvgSq, maxExpAvgSq } = states[i]!;
      expect(leaves[i]!.shape).toEqual(SHAPES[name]);
      expectSameBits(`${name} param`, valuesOf(leaves[i]!), param);
      for (const [j, values] of [expAvg, expAvgSq, maxExpAvgSq].slice(0, moments.length).entries()) {
        expectSameBits(`${name} moment ${j}`, valuesOf(moments[j]![i]!), values);
      }
    }
  });

  it.each(OPTIONS)(
    "update, added: same bits without decay or from p/2 to 2p, else within 2^-23 of the change: $title",
    ({ mode, options, decayed }) => {
      jax.defaultDevice(device);
      const optimizer = make(mode, options);
      const states = reference(5);
      let params = treeOf(states, "param");
      let state = optimizer.init(tree.ref(params));
      let far = 0;
      for (let t = 1; t <= 40; t++) {
        newGrads(states, t);
        const before = states.map(({ param }) => param.slice());
        const [updates, next] = optimizer.update(treeOf(states, "grad"), state, tree.ref(params));
        state = next;
        expected(states, mode, options, decayed);
        const sums = tree.leaves(applyUpdates(tree.ref(params), updates)).map(valuesOf);
        for (const [j, { param }] of states.entries()) {
          if (!decayed.includes(NAMES[j]!)) expectSameBits(NAMES[j]!, sums[j]!, param);
          sums[j]!.forEach((sum, i) => {
            const [p, target] = [before[j]![i]!, param[i]!];
            const isNear = target / p >= 0.5 && target / p <= 2;
            if (!isNear) far++;
            const isRight = isNear ? sum === target : Math.abs(sum - target) <= 2 ** -23 * Math.abs(target - p);
            if (!isRight) throw new Error(`${NAMES[j]} ${i} at step ${t}: ${p} became ${sum}, expected ${target}`);
          });
        }
        // The next step starts from the reference's bits, so that errors do not add up.
        tree.dispose(params);
        params = treeOf(states, "param");
      }
      expect(far).toBeGreaterThan(0);
    },
  );
});

/** `fused-adam/jax`: what it refuses, and that a refused call has changed and used up nothing. */
import type { FusedTransformation, TransformationOptions } from "fused-adam/jax";
import { afterEach, describe, expect, it, vi } from "vitest";
import { caught, type Expected, expectError, rangeError, stateError, typeError, wrong } from "../../support/api.js";
import { expectSameBits } from "../../support/bits.js";
import { notBuilt, unless } from "../../support/host.js";
import { adam, adamw, arrayOf, type JaxArray, jax, np, type Tree, tree, valuesOf } from "../../support/jax.js";
import { dyadic } from "../../support/model.js";

afterEach(() => {
  vi.restoreAllMocks();
});

type Params = { w: JaxArray; layers: { b: JaxArray }[] };
const params = (seed: number): Params => ({
  w: arrayOf(dyadic(12, seed), [3, 4]),
  layers: [{ b: arrayOf(dyadic(3, seed + 1)) }],
});

const traced = (label: string) => stateError(label, "ERR_TRACED");

/** Two runs of the same, of which one has its calls refused. */
class Pair {
  readonly optimizer = adamw({ lr: 0.25 });
  readonly #params = [params(1), params(1)] as [Params, Params];
  readonly #states = this.#params.map((each) => this.optimizer.init(tree.ref(each)));
  #steps = 0;

  get params(): Params {
    return this.#params[0];
  }

  get state() {
    return this.#states[0]!;
  }

  /** One step of both, after which they must be the same. */
  step(context: string): void {
    this.#steps++;
    for (const i of [0, 1] as const) {
      [this.#params[i], this.#states[i]] = this.optimizer.step(params(this.#steps), this.#states[i]!, this.#params[i]);
    }
    const [one, other] = this.#params.map((each) => tree.leaves(each as Tree).map(valuesOf));
    for (const [i, values] of one!.entries()) expectSameBits(`${context}, leaf ${i}`, values, other![i]!);
  }

  /** That the call fails as it should, and leaves no trace. */
  async refuses(call: (pair: Pair, grads: Params) => unknown, expected: Expected, context: string): Promise<void> {
    const grads = params(99);
    const leaves = [grads, this.params].flatMap((each) => tree.leaves(each as Tree));
    expectError(await caught(() => call(this, grads), context), expected, context);
    expect(
      leaves.map(({ refCount }) => refCount),
      context,
    ).toEqual(leaves.map(() => 1));
    tree.dispose(grads);
    this.step(context);
  }
}

describe("under a transformation of jax-js", () => {
  const optimizer = adam();
  const before = optimizer.init(np.zeros([2]));
  const jitted: Record<string, [(x: JaxArray) => unknown, string]> = {
    "init of traced parameters": [(x) => optimizer.init({ a: [x] }), "params.a[0]"],
    "update of traced gradients": [(x) => optimizer.update(x, before), "updates"],
    "step with traced parameters": [(x) => optimizer.step({ p: np.zeros([2]) }, before, { p: x }), "params.p"],
    "update of captured gradients and state": [
      (x) => {
        x.dispose();
        return optimizer.update(np.zeros([2]), before);
      },
      "update",
    ],
    "init of captured parameters": [
      (x) => {
        x.dispose();
        return optimizer.init(np.zeros([2]));
      },
      "init",
    ],
  };

  it.each(Object.entries(jitted))("jit: %s", async (_, [call, label]) => {
    const f = jax.jit((x: JaxArray) => call(x) as JaxArray);
    const error = await caught(() => f(np.zeros([2])));
    expectError(error, traced(label));
    expect((error as Error).message).toMatch(/jit the gradient, and call this outside/);
  });

  it("jit of a whole training step, the state an argument of it, or captured", async () => {
    const loss = (p: JaxArray) => np.square(p).sum();
    const state = optimizer.init(np.ones([2]));
    const whole = jax.jit((p: JaxArray, s: Tree) => optimizer.step(jax.grad(loss)(p.ref), s, p) as Tree);
    expectError(await caught(() => whole(np.ones([2]), tree.ref(state))), traced("updates"));
    const captured = jax.jit((p: JaxArray) => optimizer.step(jax.grad(loss)(p.ref), state, p)[0]);
    expectError(await caught(() => captured(np.ones([2]))), traced("updates"));
    expect(optimizer.step(np.ones([2]), state, np.ones([2]))[1].count.item()).toBe(1);
  });

  it("a captured call, which would step once and never again", async () => {
    const [state, grads] = [optimizer.init(np.ones([2])), np.ones([2])];
    const f = jax.jit((x: JaxArray) => {
      optimizer.update(grads.ref, state);
      return x;
    });
    expectError(await caught(() => f(np.zeros([2]))), traced("update"));
  });

  it("grad, jvp, vmap", async () => {
    const f = (x: JaxArray) => optimizer.update(x, optimizer.init(np.zeros([2])))[0];
    expectError(await caught(() => jax.grad((x: JaxArray) => f(x).sum())(np.ones([2]))), traced("updates"));
    expectError(await caught(() => jax.jvp(f, [np.ones([2])], [np.ones([2])])), traced("updates"));
    expectError(await caught(() => jax.vmap(f)(np.ones([3, 2]))), traced("updates"));
  });

  it("with arrays that have values, grad lets it be", () => {
    const f = (x: JaxArray) => x.mul(optimizer.update(np.ones([2]), optimizer.init(np.zeros([2])))[0]).sum();
    expect(Math.abs(valuesOf(jax.grad(f)(np.ones([2])))[0]! + 0.001)).toBeLessThan(1e-9);
  });
});

describe("options", () => {
  const CASES: [unknown, Expected][] = [
    [0.001, typeError("options")],
    [{ b1: 0.9 }, typeError("options", "ERR_UNKNOWN_OPTION")],
    [{ epsRoot: 1e-8 }, typeError("options", "ERR_UNKNOWN_OPTION")],
    [{ nesterov: true }, typeError("options", "ERR_UNKNOWN_OPTION")],
    [{ learningRate: 0.1 }, typeError("options", "ERR_UNKNOWN_OPTION")],
    [{ memory: new WebAssembly.Memory({ initial: 1 }) }, typeError("options", "ERR_UNKNOWN_OPTION")],
    [{ threads: 2 }, typeError("options", "ERR_UNKNOWN_OPTION")],
    [{ lr: "0.1" }, typeError("lr")],
    [{ lr: -1 }, rangeError("lr")],
    [{ betas: [0.9, 1] }, rangeError("betas[1]")],
    [{ weightDecay: NaN }, rangeError("weightDecay")],
    [{ clipNorm: -1 }, rangeError("clipNorm")],
    [{ skipNonFinite: 1 }, typeError("skipNonFinite")],
    [{ kernel: "fast" }, rangeError("kernel")],
    [{ mask: null }, typeError("mask")],
    [{ mask: 1 }, typeError("mask")],
  ];
  it.each(CASES)("%o", async (options, expected) => {
    for (const make of [adam, adamw])
      expectError(await caught(() => make(wrong<TransformationOptions>(options))), expected);
  });

  const MASKS: [unknown, Expected][] = [
    [{ w: true }, typeError("mask.layers")],
    [{ w: true, layers: [{ b: 1 }] }, typeError("mask.layers[0].b")],
    [{ w: true, layers: [{}] }, typeError("mask.layers[0].b")],
    [{ w: { deep: true }, layers: true }, typeError("mask.w")],
    [{ w: true, layers: [true, true] }, rangeError("mask.layers", "ERR_SHAPE_MISMATCH")],
    [{ w: true, layers: { 0: true } }, typeError("mask.layers")],
    [{ w: true, layers: true, v: true }, rangeError("mask", "ERR_SHAPE_MISMATCH")],
    [[true, true], typeError("mask")],
    [() => undefined, typeError("mask(params)")],
    [() => [true], typeError("mask(params)")],
    [(p: Params) => p, typeError("mask(params).w")],
    [() => ({ w: np.ones([3, 4]), layers: true }), typeError("mask(params).w")],
    [{ w: np.ones([3, 4]), layers: true }, typeError("mask.w")],
    [{ w: true, layers: np.ones([3]) }, typeError("mask.layers")],
    [np.ones([3, 4]), typeError("mask")],
  ];
  it.each(MASKS)("mask %o, once the parameters are known", async (mask, expected) => {
    const optimizer = adamw({ mask: wrong<boolean>(mask) });
    const tried = params(1);
    expectError(await caught(() => optimizer.init(tried)), expected);
    expect(tree.leaves(tried as Tree).map(({ refCount }) => refCount)).toEqual([1, 1]);
  });

  it("a mask of arrays, as jax-js's own optax has them: the message says what to give instead", async () => {
    const optimizer = adamw({ mask: wrong<boolean>({ w: np.ones([3, 4]), layers: true }) });
    const error = (await caught(() => optimizer.init(params(1)))) as Error;
    expect(error.message).toBe(
      '"mask.w": expected a boolean, which holds for all elements of an array, got a jax-js Array',
    );
  });

  it("a mask that throws, and one that is asked for nothing, are themselves", async () => {
    const error = new Error("mine");
    const optimizer = adamw({
      mask: () => {
        throw error;
      },
    });
    const tried = params(1);
    expect(await caught(() => optimizer.init(tried))).toBe(error);
    expect(tree.leaves(tried as Tree).map(({ refCount }) => refCount)).toEqual([1, 1]);
  });
});

describe("trees", () => {
  const init: [string, unknown, Expected][] = [
    ["none", undefined, typeError("params")],
    ["no arrays", { a: [], b: {} }, rangeError("params", "ERR_EMPTY_PARAMS")],
    ["a number", { a: 1 }, typeError("params.a")],
    ["null", [null], typeError("params[0]")],
    ["a Float32Array", { "a b": new Float32Array(2) }, typeError("params['a b']")],
    ["int32", np.array([1, 2], { dtype: np.int32 }), typeError("params")],
    ["float16", { a: np.zeros([200], { dtype: np.float16 }) }, typeError("params.a")],
  ];
  it.each(init)("init: %s", async (_, given, expected) => {
    for (const make of [adam, adamw]) expectError(await caught(() => make().init(wrong<Tree>(given))), expected);
  });

  const freed = () => {
    const x = np.zeros([3, 4]);
    x.dispose();
    return x;
  };
  const layers = () => [{ b: np.zeros([3]) }];
  const mismatch = (label: string) => rangeError(label, "ERR_SHAPE_MISMATCH");
  const grads: [string, () => unknown, Expected][] = [
    ["a key less", () => ({ w: np.zeros([3, 4]) }), mismatch("updates")],
    ["a key more", () => ({ w: np.zeros([3, 4]), layers: layers(), v: np.zeros([1]) }), mismatch("updates")],
    ["another order", () => ({ layers: layers(), w: np.zeros([3, 4]) }), mismatch("updates")],
    ["a longer list", () => ({ w: np.zeros([3, 4]), layers: [...layers(), ...layers()] }), mismatch("updates.layers")],
    ["a list for an array", () => ({ w: [np.zeros([3, 4])], layers: layers() }), mismatch("updates.w")],
    [
      "a key deep inside",
      () => ({ w: np.zeros([3, 4]), layers: [{ c: np.zeros([3]) }] }),
      mismatch("updates.layers[0]"),
    ],
    ["another shape of the same size", () => ({ w: np.zeros([4, 3]), layers: layers() }), mismatch("updates.w")],
    [
      "another rank",
      () => ({ w: np.zeros([3, 4]), layers: [{ b: np.zeros([3, 1]) }] }),
      mismatch("updates.layers[0].b"),
    ],
    ["int32", () => ({ w: np.zeros([3, 4], { dtype: np.int32 }), layers: layers() }), typeError("updates.w")],
    ["a number", () => ({ w: 1, layers: layers() }), typeError("updates.w")],
    ["a freed array", () => ({ w: freed(), layers: layers() }), stateError("updates.w", "ERR_DISPOSED")],
  ];
  it.each(grads)("gradients with %s", async (context, make, expected) => {
    const pair = new Pair();
    for (const name of ["update", "step"] as const) {
      await pair.refuses(
        ({ optimizer, state, params }) => optimizer[name](wrong<Params>(make()), state, params),
        expected,
        context,
      );
    }
  });

  it("parameters that are missing where they decay, or do not fit", async () => {
    const pair = new Pair();
    const cases: [(pair: Pair, grads: Params) => unknown, Expected][] = [
      [({ optimizer, state }, grads) => optimizer.update(grads, state), typeError("params")],
      [({ optimizer, state }, grads) => optimizer.step(grads, state, wrong<Params>(undefined)), typeError("params")],
      [
        ({ optimizer, state }, grads) => optimizer.step(grads, state, wrong<Params>({ w: grads.w })),
        mismatch("updates"),
      ],
      [
        ({ optimizer, state, params }, grads) => optimizer.update(grads, state, { ...params, w: np.zeros([2]) }),
        mismatch("updates.w"),
      ],
      [
        ({ optimizer, state, params }, grads) => optimizer.update(grads, state, { ...params, w: freed() }),
        stateError("params.w", "ERR_DISPOSED"),
      ],
    ];
    for (const [i, [call, expected]] of cases.entries()) await pair.refuses(call, expected, String(i));
  });

  it("one reference passed twice", async () => {
    const optimizer = adam();
    const x = arrayOf(dyadic(5, 1));
    const state = optimizer.init(x.ref);
    expectError(await caught(() => optimizer.update(x, state, x)), stateError("params", "ERR_DISPOSED"));
    expect(x.refCount).toBe(1);
    expect(optimizer.update(x.ref, state, x)[1].count.item()).toBe(1);
  });

  it("a state for other trees", async () => {
    const optimizer = adam();
    const state = optimizer.init(np.zeros([2]));
    expectError(await caught(() => optimizer.update(np.zeros([3]), state)), mismatch("updates"));
    expectError(await caught(() => optimizer.update([np.zeros([2])], state)), mismatch("updates"));
    expectError(await caught(() => optimizer.update([np.zeros([2])], tree.ref(state))), mismatch("state.mu"));
  });

  it("arrays that cannot be read at once: the error says what to do, and why", async () => {
    const pair = new Pair();
    const cause = new Error("cannot read synchronously from a slot with async work");
    await pair.refuses(
      ({ optimizer, state, params }, grads) => {
        vi.spyOn(grads.layers[0]!.b, "dataSync").mockImplementation(() => {
          throw cause;
        });
        return optimizer.step(grads, state, params);
      },
      stateError("updates.layers[0].b", "ERR_UNREADABLE"),
      "unreadable",
    );
    const broken = np.zeros([2]);
    vi.spyOn(broken, "dataSync").mockImplementation(() => {
      throw cause;
    });
    const error = await caught(() => adam().update(broken, adam().init(np.zeros([2]))));
    expect(error).toMatchObject({ message: expect.stringContaining("blockUntilReady"), cause });
  });

  it("another copy's arrays are called that", async () => {
    class Foreign {
      aval = {};
      dataSync() {}
    }
    const error = await caught(() => adam().init(wrong<Tree>({ a: new Foreign() })));
    expectError(error, typeError("params.a"));
    expect((error as Error).message).toMatch(/another copy/);
  });
});

describe("states", () => {
  const plain = () => ({ count: np.array(3, { dtype: np.uint32 }), mu: np.zeros([2]), nu: np.zeros([2]) });
  const CASES: [string, () => unknown, Expected, TransformationOptions?][] = [
    ["none", () => undefined, typeError("state")],
    ["an array", () => np.zeros([2]), typeError("state")],
    ["a list, as optax's chain has", () => [plain(), []], typeError("state")],
    ["no count", () => ({ ...plain(), count: undefined }), typeError("state.count")],
    ["a count of two", () => ({ ...plain(), count: np.zeros([2]) }), rangeError("state.count", "ERR_SHAPE_MISMATCH")],
    ["counts in a tree", () => ({ ...plain(), count: [np.array(1)] }), rangeError("state.count", "ERR_SHAPE_MISMATCH")],
    ["half a step", () => ({ ...plain(), count: np.array(0.5) }), rangeError("state.count")],
    ["a step before the first", () => ({ ...plain(), count: np.array(-1) }), rangeError("state.count")],
    ["no mu", () => ({ count: np.array(1), nu: np.zeros([2]) }), typeError("state.mu")],
    ["another shape", () => ({ ...plain(), nu: np.zeros([3]) }), rangeError("state.nu", "ERR_SHAPE_MISMATCH")],
    ["another type", () => ({ ...plain(), mu: np.zeros([2], { dtype: np.int32 }) }), typeError("state.mu")],
    ["NaN", () => ({ ...plain(), mu: np.array([1, NaN]) }), rangeError("state.*.exp_avg", "ERR_NON_FINITE")],
    [
      "a negative nu",
      () => ({ ...plain(), nu: np.array([1, -1]) }),
      rangeError("state.*.exp_avg_sq", "ERR_NON_FINITE"),
    ],
    ["nu_max without amsgrad", () => ({ ...plain(), nu_max: np.zeros([2]) }), typeError("state", "ERR_UNKNOWN_OPTION")],
    ["no nu_max with amsgrad", plain, typeError("state.nu_max"), { amsgrad: true }],
    ["something else", () => ({ ...plain(), trace: np.zeros([2]) }), typeError("state", "ERR_UNKNOWN_OPTION")],
  ];
  it.each(CASES)("%s", async (_, make, expected, options) => {
    const optimizer = adam(options);
    const [grads, state] = [np.ones([2]), make()];
    expectError(await caught(() => optimizer.update(grads, wrong<Tree>(state))), expected);
    expect(grads.refCount).toBe(1);
    for (const leaf of tree.leaves<unknown>(wrong(state))) if (leaf instanceof jax.Array) expect(leaf.refCount).toBe(1);
  });

  it("with a moment that amsgrad needs and another transformation did not keep", async () => {
    const state = adam().init(np.zeros([2]));
    const error = await caught(() => adam({ amsgrad: true }).update(np.ones([2]), state));
    expectError(error, typeError("state.*.max_exp_avg_sq"));
    expect(
      adam()
        .update(np.ones([2]), state)[1]
        .count.item(),
    ).toBe(1);
  });

  it("a schedule's bad value changes nothing", async () => {
    let rate: number = NaN;
    const optimizer = adam({ lr: () => rate });
    const [grads, state] = [np.ones([2]), optimizer.init(np.zeros([2]))];
    expectError(await caught(() => optimizer.update(grads, state)), rangeError("lr(1)"));
    rate = 0.5;
    expect(valuesOf(optimizer.update(grads, state)[0])).toEqual(new Float32Array([-0.5, -0.5]));
  });

  it("a schedule that steps the optimizer it belongs to", async () => {
    const grads = np.ones([2]);
    let inside: () => unknown = () => {};
    const optimizer: FusedTransformation = adam({
      lr: () => {
        inside();
        return 0.5;
      },
    });
    const state = optimizer.init(np.zeros([2]));
    inside = () => optimizer.update(np.full([2], 7), state);
    expectError(await caught(() => optimizer.update(grads.ref, state)), stateError("optimizer", "ERR_BUSY"));
    inside = () => {};
    expect(valuesOf(optimizer.update(grads, state)[1].mu as JaxArray)).toEqual(new Float32Array([0.1, 0.1]));
  });

  it("past what the count's type holds, a step goes on and only the count is refused", async () => {
    const optimizer = adam();
    const late = { ...plain(), count: np.array(2 ** 32 - 1, { dtype: np.uint32 }) };
    const [, state] = optimizer.update(np.ones([2]), late);
    expectError(await caught(() => state.count), rangeError("state.count"));
    expect(valuesOf(state.mu as JaxArray)).toEqual(new Float32Array([0.1, 0.1]));
  });
});

it(
  "another package's CommonJS copy: require gives the same functions over jax-js's CommonJS",
  unless(notBuilt),
  async () => {
    const { createRequire } = await import("node:module");
    const require = createRequire(import.meta.url);
    const fused = require("fused-adam/jax") as typeof import("fused-adam/jax");
    const { numpy } = require("@jax-js/jax") as typeof jax;
    const optimizer = fused.adam({ lr: 0.5 });
    const [updates] = optimizer.update(numpy.ones([2]), optimizer.init(numpy.zeros([2])));
    expect(valuesOf(updates)).toEqual(new Float32Array([-0.5, -0.5]));
    expectError(await caught(() => optimizer.init(np.zeros([2]))), typeError("params"));
  },
);

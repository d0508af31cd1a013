/** Whose data is whose: what else holds a variable's data keeps its values, and what tfjs computes from a variable is from its newest. */
import { adam, adamw } from "fused-adam/tfjs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { unless } from "../../support/host.js";
import { BACKENDS, storage, type Tensor, tf, traffic, use, type Variable } from "../../support/tfjs.js";

const ones = (shape: number[] = [4, 4]) => tf.tidy(() => tf.variable(tf.ones(shape)));
const grads = (...variables: Variable[]) => variables.map(({ name, shape }) => ({ name, tensor: tf.ones(shape) }));
/** One step down by the learning rate, near enough: all gradients are 1. */
const options = { lr: 0.25, weightDecay: 0, eps: 1e-8 };
const all = (tensor: Tensor) => [...new Set(Array.from(tensor.dataSync(), (value) => Math.round(value * 1e4) / 1e4))];

describe.each(BACKENDS)("%s", (backend) => {
  beforeEach(() => use(backend));
  afterEach(() => tf.disposeVariables());

  it(
    "complex numbers made of a variable keep what they were made of",
    unless(backend !== "cpu" && "has no complex numbers"),
    () => {
      const variable = ones();
      const optimizer = adamw(tf, options);
      optimizer.applyGradients(grads(variable));
      const made = [tf.complex(variable, variable), tf.cast(variable, "complex64")];
      optimizer.applyGradients(grads(variable));
      expect(made.map((complex) => all(tf.real(complex)))).toEqual([[0.75], [0.75]]);
      expect(all(tf.imag(made[0]!))).toEqual([0.75]);
      expect(all(variable)).toEqual([0.5]);
    },
  );

  describe("nothing is copied that need not be", () => {
    const on = (start: string) => unless(!backend.startsWith(start) && `is about ${start}`);

    it("cpu: all variables are views of one linear memory, from the first step on", on("cpu"), () => {
      const variables = [ones(), ones([7])];
      const optimizer = adamw(tf, options);
      optimizer.applyGradients(grads(...variables));
      const places = variables.map((variable) => storage(variable));
      expect(places[0]!.buffer).toBe(places[1]!.buffer);
      // Whole pages: a WebAssembly.Memory.
      expect(places[0]!.buffer.byteLength % 65536).toBe(0);
      optimizer.applyGradients(grads(...variables));
      variables.forEach((variable, i) => {
        expect(storage(variable)).toBe(places[i]);
        expect(all(variable)).toEqual([0.5]);
      });
    });

    it("wasm: variables and moments stay where they are in tfjs's heap", on("wasm"), async () => {
      const variable = ones();
      const before = storage(variable).byteOffset;
      const optimizer = adamw(tf, options);
      const moments = [];
      for (let i = 0; i < 3; i++) {
        optimizer.applyGradients(grads(variable));
        moments.push((await optimizer.getWeights()).slice(1).map(({ tensor }) => storage(tensor).byteOffset));
        expect(storage(variable).byteOffset).toBe(before);
      }
      expect(moments[2]).toEqual(moments[0]);
      expect(all(variable)).toEqual([0.25]);
    });

    it("wasm: also when the heap has grown meanwhile", on("wasm"), () => {
      const variable = ones();
      const optimizer = adamw(tf, options);
      const before = storage(variable);
      const ballast = [];
      for (let i = 0; i < 4; i++) {
        optimizer.applyGradients(grads(variable));
        ballast.push(tf.tensor(new Float32Array(1 << 22)));
      }
      expect(storage(variable).buffer).not.toBe(before.buffer);
      expect(storage(variable).byteOffset).toBe(before.byteOffset);
      expect(all(variable)).toEqual([0]);
      tf.dispose(ballast);
    });

    it("others: each gradient is read once, each parameter written once", on("opaque"), () => {
      const variables = [ones(), ones([7])];
      const optimizer = adamw(tf, options);
      optimizer.applyGradients(grads(...variables));
      const gradients = grads(...variables);
      const before = traffic();
      optimizer.applyGradients(gradients);
      const { reads, writes } = traffic();
      expect([reads - before.reads, writes - before.writes]).toEqual([2, 2]);
      // A step that is skipped writes nothing.
      const careful = adamw(tf, { ...options, skipNonFinite: true });
      const bad = [{ name: variables[0]!.name, tensor: tf.fill([4, 4], Number.NaN) }];
      careful.applyGradients(bad);
      const start = traffic();
      careful.applyGradients(bad);
      expect(traffic()).toEqual({ reads: start.reads + 1, writes: start.writes });
    });
  });

  describe("what shares a variable's data keeps it", () => {
    const sharers: Record<string, (variable: Variable) => Tensor> = {
      clone: (variable) => variable.clone(),
      reshape: (variable) => tf.reshape(variable, [16]),
      slice: (variable) => tf.slice(variable, [1, 0], [2, 4]),
      "a tensor of its dataSync()": (variable) => tf.tensor(variable.dataSync(), [4, 4], "float32"),
      "another variable": (variable) => tf.variable(variable),
    };
    it.each(Object.entries(sharers))("%s, made before the first step and between steps", (_, share) => {
      const variable = ones();
      const optimizer = adamw(tf, options);
      const held = [share(variable)];
      for (let i = 0; i < 4; i++) {
        optimizer.applyGradients(grads(variable));
        held.push(share(variable));
      }
      expect(held.map(all)).toEqual([[1], [0.75], [0.5], [0.25], [0]]);
      optimizer.dispose();
      expect(held.map(all)).toEqual([[1], [0.75], [0.5], [0.25], [0]]);
      expect(all(variable)).toEqual([0]);
    });

    it("what dataSync() and data() returned", async () => {
      const variable = ones();
      const optimizer = adamw(tf, options);
      const held = [variable.dataSync(), await variable.data()];
      for (let i = 0; i < 2; i++) {
        optimizer.applyGradients(grads(variable));
        held.push(variable.dataSync(), await variable.data());
      }
      optimizer.dispose();
      expect(held.map((values) => values[15]?.toFixed(2))).toEqual(["1.00", "1.00", "0.75", "0.75", "0.50", "0.50"]);
      expect((await variable.bytes()).length).toBe(64);
    });

    it("a clone of a moment", async () => {
      const variable = ones();
      const optimizer = adamw(tf, { ...options, betas: [0.5, 0.5] });
      const clones: Tensor[] = [];
      for (let i = 0; i < 3; i++) {
        optimizer.applyGradients(grads(variable));
        clones.push((await optimizer.getWeights())[1]!.tensor.clone());
      }
      expect(clones.map(all)).toEqual([[0.5], [0.75], [0.875]]);
    });

    it("a clone whose variable was given other data, or disposed of", () => {
      const [a, b, c] = [ones(), ones(), ones()];
      const optimizer = adamw(tf, options);
      optimizer.applyGradients(grads(a, b, c));
      const clones = [a.clone(), b.clone()];
      const ten = tf.fill([4, 4], 10);
      a.assign(ten);
      b.dispose();
      optimizer.applyGradients(grads(a, c));
      optimizer.applyGradients(grads(a, c));
      optimizer.dispose();
      expect([...clones, ten, a, c].map(all)).toEqual([[0.75], [0.75], [10], [9.5], [0.25]]);
    });

    it("the tensor a variable was made of", () => {
      const initial = tf.ones([4, 4]);
      const variable = tf.variable(initial);
      adamw(tf, options).applyGradients(grads(variable));
      expect([initial, variable].map(all)).toEqual([[1], [0.75]]);
    });

    it("a variable that was assigned another, both trained", () => {
      const [a, b] = [ones(), ones()];
      const optimizer = adamw(tf, { ...options, lrFactor: (name) => (name === b.name ? 2 : 1) });
      optimizer.applyGradients(grads(a, b));
      b.assign(a);
      optimizer.applyGradients(grads(a, b));
      expect([a, b].map(all)).toEqual([[0.5], [0.25]]);
      a.assign(b);
      optimizer.applyGradients(grads(b, a));
      expect([a, b].map(all)).toEqual([[0], [-0.25]]);
    });
  });

  describe("gradients", () => {
    it("that are one tensor for two variables", () => {
      const [a, b] = [ones(), ones()];
      const tensor = tf.ones([4, 4]);
      const optimizer = adamw(tf, options);
      for (let i = 0; i < 2; i++) {
        optimizer.applyGradients([
          { name: a.name, tensor },
          { name: b.name, tensor },
        ]);
      }
      expect([a, b, tensor].map(all)).toEqual([[0.5], [0.5], [1]]);
      // The same by way of autodiff: the gradient of a sum is shared by its terms.
      optimizer.minimize(() => tf.sum(tf.add(a, b)) as never);
      expect([a, b].map(all)).toEqual([[0.25], [0.25]]);
    });

    it("that are variables themselves, of the same step, too", () => {
      const [a, b] = [ones(), ones()];
      const optimizer = adamw(tf, { ...options, betas: [0, 0.999] });
      const signs: number[][] = [];
      for (let i = 0; i < 3; i++) {
        // b falls with a's gradient, which is b's value, from before the step in either order.
        optimizer.applyGradients([
          { name: a.name, tensor: b },
          { name: b.name, tensor: a },
        ]);
        signs.push([...all(a), ...all(b)]);
      }
      for (const [x, y] of signs) expect(x).toBe(y);
      expect(signs[0]).toEqual([0.75, 0.75]);
    });

    it("added up by the user over two batches: the step of their sum", () => {
      const [a, b] = [ones(), ones()];
      const x = tf.tensor2d([[1, 2, 3, 4]]);
      const loss = (variable: Variable, scale: number) => () =>
        tf.mean(tf.square(tf.matMul(tf.mul(x, scale), variable)));
      const [one, two] = [adam(tf, options), adam(tf, options)];
      for (let i = 0; i < 3; i++) {
        const parts = [1, 3].map((scale) => one.computeGradients(loss(a, scale) as never, [a]).grads[a.name]!);
        one.applyGradients([{ name: a.name, tensor: tf.add(parts[0]!, parts[1]!) }]);
        two.minimize(() => tf.add(loss(b, 1)(), loss(b, 3)()) as never, false, [b]);
      }
      const [p, q] = [a.dataSync(), b.dataSync()];
      p.forEach((value, i) => {
        expect(Math.abs(value - q[i]!)).toBeLessThan(1e-6);
      });
      expect(p[0]).not.toBe(1);
    });
  });

  describe("kernels that keep packed weights see each step", () => {
    const image = () => tf.ones([1, 4, 4, 2]) as never;
    const cases: Record<string, [number[], (weights: Variable) => Tensor]> = {
      matMul: [[4, 4], (w) => tf.matMul(tf.ones([4, 4]), w)],
      "fused.matMul with bias": [[4], (w) => tf.fused.matMul({ a: tf.ones([4, 4]), b: tf.ones([4, 4]), bias: w })],
      "matMul, batched": [[2, 4, 4], (w) => tf.matMul(tf.ones([2, 4, 4]), w)],
      conv2d: [[3, 3, 2, 2], (w) => tf.conv2d(image(), w as never, 1, "same")],
      depthwiseConv2d: [[3, 3, 2, 1], (w) => tf.depthwiseConv2d(image(), w as never, 1, "same")],
      prelu: [[4], (w) => tf.prelu(tf.neg(tf.ones([4, 4])), w)],
      gather: [[4, 4], (w) => tf.gather(w, tf.tensor1d([0, 3], "int32"))],
    };
    it.each(Object.entries(cases))("%s", (_, [shape, compute]) => {
      const variable = ones(shape);
      const optimizer = adamw(tf, options);
      for (let i = 0; i < 3; i++) {
        const constant = tf.tensor(variable.dataSync().slice(), shape, "float32");
        const [now, expected] = [compute(variable), compute(constant as never)];
        expect(all(now)).toEqual(all(expected));
        optimizer.applyGradients(grads(variable));
      }
    });
  });

  it("two optimizers take turns over the same variables", () => {
    const [a, b] = [ones(), ones()];
    const [one, two] = [adamw(tf, options), adamw(tf, { ...options, lr: 0.125 })];
    for (let i = 0; i < 2; i++) {
      one.applyGradients(grads(a, b));
      two.applyGradients(grads(b, a));
    }
    expect([a, b].map(all)).toEqual([[0.25], [0.25]]);
    one.dispose();
    two.applyGradients(grads(a));
    two.dispose();
    expect([a, b].map(all)).toEqual([[0.125], [0.25]]);
  });

  it("what the user assigns between steps is what the next step starts from", () => {
    const variable = ones();
    const optimizer = adamw(tf, options);
    optimizer.applyGradients(grads(variable));
    variable.assign(tf.fill([4, 4], 8));
    optimizer.applyGradients(grads(variable));
    expect(all(variable)).toEqual([7.75]);
  });

  it("a disposed variable leaves; one that takes its name starts anew", async () => {
    const [a, b] = [tf.variable(tf.ones([2]), true, "a"), ones([3])];
    const optimizer = adamw(tf, { ...options, betas: [0.5, 0.5] });
    for (let i = 0; i < 3; i++) optimizer.applyGradients(grads(a, b));
    a.dispose();
    optimizer.applyGradients(grads(b));
    expect((await optimizer.getWeights()).map(({ name }) => name)).toEqual(["iter", `${b.name}/m`, `${b.name}/v`]);
    const again = tf.variable(tf.ones([5]), true, "a");
    optimizer.applyGradients(grads(again, b));
    expect(all(again)).toEqual([0.75]);
    const moments = Object.fromEntries((await optimizer.getWeights()).map(({ name, tensor }) => [name, all(tensor)]));
    expect(moments["a/m"]).toEqual([0.5]);
    expect(moments[`${b.name}/m`]).toEqual([0.9688]);
  });
});

describe("a change of backend", () => {
  afterEach(() => tf.disposeVariables());
  it("between steps: state follows, bit for bit as without", async () => {
    const run = async (route: readonly (typeof BACKENDS)[number][]) => {
      await use(route[0]!);
      const variable = ones([3, 5]);
      const optimizer = adamw(tf, { lr: 0.01, clipNorm: 0.5, amsgrad: true });
      for (const [i, backend] of route.entries()) {
        await use(backend);
        const tensor = tf.tensor(
          Float32Array.from({ length: 15 }, (_, j) => Math.sin(i * 15 + j)),
          [3, 5],
        );
        optimizer.applyGradients([{ name: variable.name, tensor }]);
      }
      const weights = await optimizer.getWeights();
      const values = [variable, ...weights.map(({ tensor }) => tensor)].map((tensor) => [...tensor.dataSync()]);
      optimizer.dispose();
      expect([...variable.dataSync()]).toEqual(values[0]);
      tf.disposeVariables();
      return values;
    };
    const straight = await run(Array.from({ length: 12 }, () => "cpu" as const));
    const route = [
      "cpu",
      "wasm",
      "wasm",
      "cpu",
      "opaque",
      "opaque",
      "wasm",
      "wasm-plain",
      "opaque",
      "cpu",
      "wasm-plain",
      "cpu",
    ];
    expect(await run(route as never)).toEqual(straight);
  });
});

import { Adam } from "fused-adam";
import { adam } from "fused-adam/tfjs";

/** Adam without decay, PyTorch's defaults. TensorFlow.js has another epsilon by default, so it is given. */
export const HYPER = { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8 } as const;

/** Something that takes Adam's steps over given gradients. */
export interface Contender {
  readonly name: string;
  /** Await it before steps, if another contender has stepped since. */
  ready?(): Promise<unknown>;
  /** @param gradient one of `Problem.gradients`, by index */
  step(gradient: number): void;
  /** Resolves when the steps are computed, where that is not at once. */
  idle?(): Promise<unknown>;
  params(): Float32Array | Promise<Float32Array>;
  dispose(): void;
}

/** Starting values and some gradients, the same for all. */
export interface Problem {
  readonly start: Float32Array;
  readonly gradients: readonly Float32Array[];
}

/** Gradients that differ from step to step: with constant ones every step of Adam is α, even if the moments are wrong. */
export function createProblem(length: number, gradients: number): Problem {
  let seed = 1;
  const uniform = () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed / 2 ** 31 - 1;
  };
  const values = (scale: number) => Float32Array.from({ length }, () => scale * uniform());
  return { start: values(0.1), gradients: Array.from({ length: gradients }, () => values(0.01)) };
}

export async function fusedAdam({ start, gradients }: Problem, threads: number): Promise<Contender> {
  const optimizer = await Adam.create({ w: start }, { ...HYPER, threads });
  const grad = optimizer.grad("w");
  let current = -1;
  const kernel = { simd: "SIMD kernel", relaxed: "relaxed kernel", scalar: "TypeScript kernel" }[optimizer.kernel];
  return {
    name: `fused-adam, ${kernel}, ${optimizer.threads === 1 ? "1 thread" : `${optimizer.threads} threads`}`,
    step(gradient) {
      if (gradient !== current) grad.set(gradients[gradient]!);
      current = gradient;
      optimizer.step();
    },
    params: () => optimizer.param("w").slice(),
    dispose: () => optimizer.dispose(),
  };
}

/** Plain JavaScript: a loop over four Float32Arrays, computing in float64. */
export function plainLoop({ start, gradients }: Problem): Contender {
  const { lr, eps } = HYPER;
  const [beta1, beta2] = HYPER.betas;
  const param = start.slice();
  const expAvg = new Float32Array(start.length);
  const expAvgSq = new Float32Array(start.length);
  let t = 0;
  return {
    name: "plain JavaScript loop, 1 thread",
    step(gradient) {
      t++;
      const grad = gradients[gradient]!;
      const stepSize = lr / (1 - beta1 ** t);
      const rsqrt = 1 / Math.sqrt(1 - beta2 ** t);
      for (let i = 0; i < param.length; i++) {
        const g = grad[i]!;
        const m = expAvg[i]! * beta1 + g * (1 - beta1);
        const v = expAvgSq[i]! * beta2 + (1 - beta2) * g * g;
        expAvg[i] = m;
        expAvgSq[i] = v;
        param[i] = param[i]! - (stepSize * m) / (Math.sqrt(v) * rsqrt + eps);
      }
    },
    params: () => param.slice(),
    dispose() {},
  };
}

type Tf = typeof import("./tfjs.js");

/** `tf.train.adam` on a backend, given ready-made gradient tensors. */
export function tfjsAdam(tf: Tf, backend: string, problem: Problem): Promise<Contender> {
  const make = () => tf.train.adam(HYPER.lr, ...HYPER.betas, HYPER.eps);
  return onTfjs(tf, backend, problem, make, `TensorFlow.js ${tf.version_core}, ${backend} backend`);
}

/** The package's Adam as an optimizer of TensorFlow.js. */
export function tfjsFusedAdam(tf: Tf, backend: string, problem: Problem): Promise<Contender> {
  return onTfjs(tf, backend, problem, () => adam(tf, HYPER), `fused-adam/tfjs, ${backend} backend`);
}

async function onTfjs(
  tf: Tf,
  backend: string,
  problem: Problem,
  make: () => InstanceType<Tf["Optimizer"]>,
  name: string,
): Promise<Contender> {
  // Tensors that are used while another backend is active would be moved to that one.
  const ready = async () => {
    if (!(await tf.setBackend(backend))) throw new Error(`TensorFlow.js could not start its ${backend} backend`);
  };
  await ready();
  const param = tf.variable(tf.tensor1d(problem.start.slice()));
  const gradients = problem.gradients.map((values) => [{ name: param.name, tensor: tf.tensor1d(values) }]);
  const optimizer = make();
  const onGpu = backend.startsWith("webg");
  // Reading one element waits for all steps before it.
  const first = async () => {
    const element = tf.slice1d(param, 0, 1);
    await element.data();
    element.dispose();
  };
  return {
    name: onGpu ? name : `${name}, 1 thread`,
    ready,
    step: (gradient) => optimizer.applyGradients(gradients[gradient]!),
    ...(onGpu && { idle: first }),
    params: async () => (await param.data<"float32">()).slice(),
    dispose() {
      optimizer.dispose();
      param.dispose();
      for (const { tensor } of gradients.flat()) tensor.dispose();
    },
  };
}

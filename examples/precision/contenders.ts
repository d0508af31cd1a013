import { type AdamOptions, AdamW, type ParamPointers } from "fused-adam";
import { giveRounded } from "../shared/halves.js";
import { WIDTHS, type Width } from "../shared/width.js";
import { roundToNearest } from "./bfloat16.js";
import type { Tensors } from "./task.js";

/** What trains: parameters as they are now, gradients that a backward pass adds to. */
export interface Learner {
  readonly params: Tensors;
  readonly grads: Tensors;
  /** Leaves the gradients zero. */
  step(): void;
  /** The second moments, as they are stored. */
  expAvgSq(): Tensors;
  dispose(): void;
}

type Make = (initial: Tensors, options: AdamOptions) => Promise<Learner>;

export const CONTENDERS = {
  float32: packaged("float32"),
  "bfloat16 moments": packaged("bfloat16 moments"),
  "bfloat16 moments and gradients": packaged("bfloat16 moments and gradients"),
  "moments rounded to nearest": rounding,
} as const satisfies Record<string, Make>;

export type ContenderName = keyof typeof CONTENDERS;

export const CONTENDER_NAMES = Object.keys(CONTENDERS) as ContenderName[];

/** What the others are compared with, and what shows why they round by chance. */
export const [BASELINE, CONTROL] = ["float32", "moments rounded to nearest"] as const satisfies ContenderName[];

const map = <T, U>(tensors: Tensors<T>, f: (value: T, name: string) => U): Tensors<U> =>
  Object.fromEntries(Object.entries(tensors).map(([name, value]) => [name, f(value, name)]));

function packaged(width: Width): Make {
  const formats = WIDTHS[width];
  const format = formats.grads;
  return async (initial, options) => {
    const optimizer = await AdamW.create(initial, { ...options, ...formats });
    const grads = map(initial, ({ length }, name) =>
      format === "float32" ? optimizer.grad(name) : new Float32Array(length),
    );
    return {
      params: map(initial, (_, name) => optimizer.param(name)),
      grads,
      step() {
        if (format !== "float32") giveRounded(optimizer, format, grads);
        optimizer.step({ zeroGrad: true });
      },
      expAvgSq: () => map(optimizer.stateDict().state, ({ exp_avg_sq }) => exp_avg_sq),
      dispose: () => optimizer.dispose(),
    };
  };
}

/** The step in float32, and then moments rounded to nearest: only in that does it differ from the package's bfloat16 moments. */
async function rounding(initial: Tensors, options: AdamOptions): Promise<Learner> {
  let bytes = 0;
  const region = (length: number) => {
    const at = bytes;
    bytes += 4 * length;
    return at;
  };
  const pointers = map(initial, ({ length }): ParamPointers => {
    const [param, grad, expAvg, expAvgSq] = [region(length), region(length), region(length), region(length)];
    return { length, param, grad, expAvg, expAvgSq };
  });
  const memory = new WebAssembly.Memory({ initial: Math.ceil(bytes / 65536) });
  const view = (name: "param" | "grad" | "expAvg" | "expAvgSq") =>
    map(pointers, ({ [name]: at, length }) => new Float32Array(memory.buffer, at, length));
  const params = view("param");
  for (const [name, values] of Object.entries(initial)) params[name]!.set(values);
  const optimizer = await AdamW.create(pointers, { ...options, memory });
  const [expAvg, expAvgSq] = [view("expAvg"), view("expAvgSq")];
  return {
    params,
    grads: view("grad"),
    step() {
      optimizer.step({ zeroGrad: true });
      for (const moments of [expAvg, expAvgSq]) for (const values of Object.values(moments)) roundToNearest(values);
    },
    expAvgSq: () => map(expAvgSq, (values) => values.slice()),
    dispose: () => optimizer.dispose(),
  };
}

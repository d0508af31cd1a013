import { readFileSync } from "node:fs";
import { instantiateSync } from "@assemblyscript/loader";
import { AdamW } from "fused-adam";
import type { Contender } from "./measure.js";

/** One AdamW over `length` parameters, dense and in mid-training, and the addresses of its five regions. */
export interface Model {
  readonly optimizer: AdamW;
  readonly views: { param: Float32Array; grad: Float32Array; expAvg: Float32Array; expAvgSq: Float32Array };
}

export const HYPER = { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0.01 } as const;

export function createModel(length: number, kernel: "simd" | "relaxed" | "scalar" = "simd"): Model {
  const optimizer = AdamW.createSync({ w: { shape: [length] } }, { ...HYPER, kernel });
  const param = optimizer.param("w");
  const grad = optimizer.grad("w");
  let seed = 1;
  for (let i = 0; i < length; i++) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    param[i] = seed / 2 ** 31 - 1;
    grad[i] = ((seed & 0xffff) / 2 ** 15 - 1) * 0.01;
  }
  // A group is param | grad | expAvg | expAvgSq, so with one tensor the regions are one stride apart.
  const stride = grad.byteOffset - param.byteOffset;
  const region = (i: number) => new Float32Array(optimizer.memory.buffer, param.byteOffset + i * stride, length);
  return { optimizer, views: { param, grad, expAvg: region(2), expAvgSq: region(3) } };
}

/** AdamW as one writes it in JavaScript: a loop over four Float32Arrays, float64 in between. */
export function loopStep({ param, grad, expAvg, expAvgSq }: Model["views"], step: number): void {
  const { lr, betas, eps, weightDecay } = HYPER;
  const [beta1, beta2] = betas;
  const stepSize = lr / (1 - beta1 ** step);
  const rsqrt = 1 / Math.sqrt(1 - beta2 ** step);
  const decay = 1 - lr * weightDecay;
  for (let i = 0; i < param.length; i++) {
    const g = grad[i]!;
    const m = expAvg[i]! * beta1 + g * (1 - beta1);
    const v = expAvgSq[i]! * beta2 + (1 - beta2) * g * g;
    expAvg[i] = m;
    expAvgSq[i] = v;
    param[i] = param[i]! * decay - (stepSize * m) / (Math.sqrt(v) * rsqrt + eps);
  }
}

interface Limits {
  load_store(param: number, grad: number, expAvg: number, expAvgSq: number, length: number): number;
  sqrt_div(expAvgSq: number, block: number, length: number): number;
}

function limitsOver(memory: WebAssembly.Memory): Limits {
  const bytes = readFileSync(new URL("../build/wasm/limits.wasm", import.meta.url));
  return instantiateSync(bytes, { env: { memory } }).instance.exports as unknown as Limits;
}

/** The package, the loop and the limits, all over the same memory. */
export function contenders(model: Model): Contender[] {
  const { optimizer, views } = model;
  const limits = limitsOver(optimizer.memory);
  const { length } = views.param;
  const [param, grad, expAvg, expAvgSq] = [views.param, views.grad, views.expAvg, views.expAvgSq].map(
    (v) => v.byteOffset,
  ) as [number, number, number, number];
  let step = 1;
  return [
    { name: "fused-adam", step: () => optimizer.step() },
    { name: "js loop", step: () => loopStep(views, step++) },
    { name: "load/store", step: () => limits.load_store(param, grad, expAvg, expAvgSq, length) },
    { name: "sqrt+div", step: () => limits.sqrt_div(expAvgSq, Math.min(1024, length), length) },
  ];
}

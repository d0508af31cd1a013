import { AdamW, type RuntimeOptions } from "fused-adam";
import type { RegionName, Values } from "./check.js";
import { HYPER, repeat, startValues } from "./data.js";

/** One AdamW over one tensor of `length` parameters, filled with the bench's values. */
export interface Model {
  readonly optimizer: AdamW;
  /** Views of its four regions. */
  readonly views: Readonly<Record<"param" | "grad" | "expAvg" | "expAvgSq", Float32Array>>;
}

export function createModel(length: number, runtime: RuntimeOptions = { kernel: "simd" }): Model {
  const optimizer = AdamW.createSync({ w: { shape: [length] } }, { ...HYPER, ...runtime });
  const param = optimizer.param("w");
  const grad = optimizer.grad("w");
  const start = startValues(length);
  repeat(param, start.param);
  repeat(grad, start.grad);
  // A group is param | grad | expAvg | expAvgSq, so with one tensor the regions are one stride apart.
  const stride = grad.byteOffset - param.byteOffset;
  const region = (i: number) => new Float32Array(optimizer.memory.buffer, param.byteOffset + i * stride, length);
  return { optimizer, views: { param, grad, expAvg: region(2), expAvgSq: region(3) } };
}

/** How `check` reads a model. */
export function readerOf({ views }: Pick<Model, "views">): (region: RegionName) => Values {
  return (region) => [views[region]];
}

type Arrays = Model["views"];

/** AdamW in plain JavaScript: a loop over four Float32Arrays, computing in float64. */
export function loopStep({ param, grad, expAvg, expAvgSq }: Arrays, step: number): void {
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

/** Where its regions start, in bytes. */
export function addressesOf({ views }: Model): Readonly<Record<keyof Model["views"], number>> {
  const { param, grad, expAvg, expAvgSq } = views;
  return {
    param: param.byteOffset,
    grad: grad.byteOffset,
    expAvg: expAvg.byteOffset,
    expAvgSq: expAvgSq.byteOffset,
  };
}

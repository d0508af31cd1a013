import { AdamW } from "fused-adam";

/** What `getParamsAndGrads()` of toygrad lists (ConvNetJS has the same): arrays that the library owns. */
export interface ParamsAndGrads {
  readonly params: Float32Array;
  readonly grads: Float32Array;
  /** Factor of the decay: 1 for weights, 0 for biases. */
  readonly l2decay: number;
}

/** AdamW for a library that holds Float32Arrays. After each batch: gradients in, step, parameters out. */
export function adamwFor(pairs: readonly ParamsAndGrads[], { lr, weightDecay }: { lr: number; weightDecay: number }) {
  const groups = pairs.map(({ params, l2decay }) => ({ params: [params], weightDecay: weightDecay * l2decay }));
  const optimizer = AdamW.createSync(groups, { lr });
  return (batchSize: number): void => {
    for (const [i, { grads }] of pairs.entries()) optimizer.grad(`${i}`).set(grads);
    // toygrad sums the gradients of a batch.
    optimizer.step({ gradScale: batchSize });
    for (const [i, { params }] of pairs.entries()) params.set(optimizer.param(`${i}`));
    for (const { grads } of pairs) grads.fill(0);
  };
}

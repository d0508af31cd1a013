import { AdamW } from "fused-adam";
import { accuracy, examplesOf, FEATURES, lossAndGradients } from "./logistic.js";
import { SENTENCES } from "./sentences.js";

export interface Result {
  /** The threads that steps ran on. */
  readonly threads: number;
  readonly heldOut: number;
  readonly weight: Float32Array;
}

/**
 * Trains a logistic regression that tells English from German. Runs where the caller may block: in Node, or in a worker of a page.
 *
 * @param report is called after every 20 steps
 */
export async function train(threads: number, report: (step: number, loss: number) => void): Promise<Result> {
  const optimizer = await AdamW.create(
    { weight: { shape: [FEATURES] }, bias: { shape: [1] } },
    { lr: 0.01, weightDecay: 0.1, threads },
  );
  const [examples, heldOut] = [examplesOf(SENTENCES.train), examplesOf(SENTENCES.heldOut)];
  // Views of the optimizer's memory, which stay valid as long as no parameters are added.
  const [weight, bias] = [optimizer.param("weight"), optimizer.param("bias")];
  const [weightGrad, biasGrad] = [optimizer.grad("weight"), optimizer.grad("bias")];
  for (let step = 1; step <= 100; step++) {
    const loss = lossAndGradients(examples, weight, bias, weightGrad, biasGrad);
    optimizer.step({ zeroGrad: true });
    if (step % 20 === 0) report(step, loss);
  }
  const result = { threads: optimizer.threads, heldOut: accuracy(heldOut, weight, bias), weight: weight.slice() };
  optimizer.dispose();
  return result;
}

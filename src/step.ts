import { fail } from "./errors.js";
import type { Group, Tensor } from "./group.js";
import { FLUSH_EVERY, type Kernels, NORM_BLOCK, rowOf } from "./kernels.js";
import type { Step } from "./options.js";
import { CONSTANTS, keepsZeros, stepConstants } from "./stepConstants.js";
import type { StepResult } from "./types.js";

type Skip = ReadonlySet<string> | undefined;

/**
 * One step over groups, in two halves: everything that can fail, then everything that changes something. Holds only what
 * would otherwise be allocated anew every time.
 */
export class Stepper {
  readonly #constants = new Float32Array(CONSTANTS);
  readonly #rates: number[] = [];

  constructor(
    readonly kernels: Kernels,
    readonly coupled: boolean,
  ) {}

  step(groups: readonly Group[], options: Step): StepResult {
    const { clipNorm, gradScale, skip, zeroGrad } = options;
    const rates = this.#rates;
    let largest = 0;
    for (let i = 0; i < groups.length; i++) {
      const group = groups[i]!;
      let after = 0;
      let active = false;
      for (const tensor of group.tensors) {
        const skipped = skip?.has(tensor.name) ?? false;
        active ||= !skipped;
        after = Math.max(after, skipped ? tensor.step : tensor.step + 1);
      }
      if (after > Number.MAX_SAFE_INTEGER) fail(Error, "ERR_STEP_LIMIT", "step", "a count up to 2^53 - 1", "one more");
      if (active) rates[i] = group.lrAt(after);
      largest = Math.max(largest, after);
    }

    let factor = 1 / gradScale;
    let gradNorm: number | undefined;
    if (clipNorm !== undefined || options.skipNonFinite) {
      gradNorm = this.#gradNorm(groups, skip, gradScale);
      if (!Number.isFinite(gradNorm)) {
        if (zeroGrad) zeroGrads(groups);
        return { step: largestStep(groups), skipped: true, gradNorm };
      }
      // Not by division alone: 0 / 0 where there is nothing to clip.
      if (clipNorm !== undefined && gradNorm > clipNorm) factor = clipNorm / gradNorm / gradScale;
    }

    for (let i = 0; i < groups.length; i++) this.#stepGroup(groups[i]!, rates[i]!, factor, skip, zeroGrad);
    return gradNorm === undefined ? { step: largest, skipped: false } : { step: largest, skipped: false, gradNorm };
  }

  #stepGroup(group: Group, lr: number, factor: number, skip: Skip, zeroGrad: boolean): void {
    const { hyper, tensors } = group;
    const c = this.#constants;
    const coupled = this.coupled && hyper.weightDecay !== 0;
    const signed = hyper.maximize ? -factor : factor;
    const gradient = zeroGrad ? "zeroing" : Math.fround(signed) === 1 ? "" : "scaled";
    const kernel = this.kernels.update[rowOf(coupled ? "adam" : "adamw", hyper.amsgrad, gradient)]!;

    for (let next = 0; next < tensors.length; ) {
      const first = tensors[next++]!;
      if (skip?.has(first.name)) {
        if (zeroGrad) first.view("grad").fill(0);
        continue;
      }
      group.lastLr = lr;
      const step = ++first.step;
      stepConstants(c, hyper, coupled, lr, step, signed);
      // Equal step, equal constants: as long as padding stays zero, neighbours go through the kernel in one call.
      const whole = keepsZeros(c);
      let last = first;
      while (whole && next < tensors.length && continues(tensors[next]!, step, skip)) {
        last = tensors[next++]!;
        last.step = step;
      }
      const length = (last.at.param - first.at.param) / 4 + (whole ? last.span : last.length);
      const { param, grad, expAvg, expAvgSq, maxExpAvgSq } = first.at;
      // Indexed, because destructuring a typed array goes through its iterator: 100 ns of a step that takes 500.
      // biome-ignore format: addresses, then constants
      kernel(
        param, grad, expAvg, expAvgSq, maxExpAvgSq, length,
        c[0]!, c[1]!, c[2]!, c[3]!, c[4]!, c[5]!, c[6]!, c[7]!, c[8]!,
      );
      if (step % FLUSH_EVERY === 0) {
        for (const moment of group.moments) this.kernels.flush(first.at[moment], length);
      }
    }
  }

  /** L2 norm of the unscaled gradients of this step, in float64; not finite if any of them is not. */
  #gradNorm(groups: readonly Group[], skip: Skip, gradScale: number): number {
    let sum = 0;
    for (const { tensors } of groups) {
      for (const tensor of tensors) {
        if (skip?.has(tensor.name)) continue;
        for (let start = 0; start < tensor.length; start += NORM_BLOCK) {
          sum += this.kernels.sumSquares(tensor.at.grad + 4 * start, Math.min(NORM_BLOCK, tensor.length - start));
        }
      }
    }
    return Math.sqrt(sum) / gradScale;
  }
}

function continues(tensor: Tensor, step: number, skip: Skip): boolean {
  return tensor.joins && tensor.step === step - 1 && !skip?.has(tensor.name);
}

export function largestStep(groups: readonly Group[]): number {
  return groups.reduce((largest, group) => Math.max(largest, group.largestStep()), 0);
}

export function zeroGrads(groups: readonly Group[]): void {
  for (const { tensors } of groups) for (const tensor of tensors) tensor.view("grad").fill(0);
}

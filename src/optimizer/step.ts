import type { StepSettings } from "../checks/defaults.js";
import { fail } from "../checks/errors.js";
import type { StepResult } from "../checks/types.js";
import type { Program } from "../kernels/program.js";
import { FLUSH_EVERY, NORM_BLOCK, rowOf } from "../kernels/table.js";
import type { Group } from "./group.js";
import { CONSTANTS, keepsZeros, stepConstants } from "./stepConstants.js";
import type { Tensor } from "./tensor.js";

/** Of the update that is being written. */
const constants = new Float32Array(CONSTANTS);

type Skip = ReadonlySet<string> | undefined;

/** What `next` does when it is called the next time. */
enum Phase {
  Begin,
  Clip,
  Commit,
}

/**
 * One step over groups, as programs to be run in turn: first the gradient norm if it is needed, then the update. Everything
 * that can fail comes before the first, and what a step leaves on the host, its counts above all, after the last:
 *
 *     stepper.begin(groups, options);
 *     while (stepper.next(program)) run(program);
 *     stepper.result
 */
export class Stepper {
  result: StepResult = { step: 0, skipped: true };
  #groups: readonly Group[] = [];
  #options!: Readonly<StepSettings>;
  #phase = Phase.Begin;
  #largest = 0;
  #gradNorm: number | undefined;
  readonly #rates: number[] = [];

  constructor(readonly coupled: boolean) {}

  begin(groups: readonly Group[], options: Readonly<StepSettings>): void {
    this.#groups = groups;
    this.#options = options;
    this.#phase = Phase.Begin;
    this.#gradNorm = undefined;
    this.#largest = 0;
    const { skip } = options;
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
      if (active) this.#rates[i] = group.lrAt(after);
      this.#largest = Math.max(this.#largest, after);
    }
  }

  /** Writes the next program; false if there is none left, and the step is done. */
  next(program: Program): boolean {
    const { clipNorm, gradScale, skipNonFinite, zeroGrad } = this.#options;
    if (this.#phase === Phase.Commit) {
      this.#commit();
      return false;
    }
    if (this.#phase === Phase.Begin && (clipNorm !== undefined || skipNonFinite)) {
      this.#phase = Phase.Clip;
      program.clear();
      this.#squares(program);
      return true;
    }
    let factor = 1 / gradScale;
    if (this.#phase === Phase.Clip) {
      // L2 norm of the unscaled gradients of this step, in float64; not finite if any of them is not.
      const gradNorm = Math.sqrt(program.total()) / gradScale;
      this.#gradNorm = gradNorm;
      if (!Number.isFinite(gradNorm)) {
        if (zeroGrad) zeroGrads(this.#groups);
        this.result = { step: largestStep(this.#groups), skipped: true, gradNorm };
        return false;
      }
      // Not by division alone: 0 / 0 where there is nothing to clip.
      if (clipNorm !== undefined && gradNorm > clipNorm) factor = clipNorm / gradNorm / gradScale;
    }
    this.#phase = Phase.Commit;
    program.clear();
    for (let i = 0; i < this.#groups.length; i++) this.#update(program, this.#groups[i]!, this.#rates[i]!, factor);
    return true;
  }

  #squares(program: Program): void {
    const { skip } = this.#options;
    for (const { tensors } of this.#groups) {
      for (const tensor of tensors) {
        if (!skip?.has(tensor.name)) program.sumSquares(tensor.at.grad, tensor.length);
      }
    }
  }

  #update(program: Program, group: Group, lr: number, factor: number): void {
    const { hyper, tensors } = group;
    const { skip, zeroGrad } = this.#options;
    const coupled = this.coupled && hyper.weightDecay !== 0;
    const signed = hyper.maximize ? -factor : factor;
    const gradient = zeroGrad ? "zeroing" : Math.fround(signed) === 1 ? "" : "scaled";
    const row = rowOf(coupled ? "adam" : "adamw", hyper.amsgrad, gradient);

    for (let next = 0; next < tensors.length; ) {
      const first = tensors[next++]!;
      if (skip?.has(first.name)) continue;
      const step = first.step + 1;
      stepConstants(constants, hyper, coupled, lr, step, signed);
      // Equal step, equal constants: as long as padding stays zero, neighbours go through the kernel in one call.
      const whole = keepsZeros(constants);
      let last = first;
      while (whole && next < tensors.length && continues(tensors[next]!, first.step, skip)) last = tensors[next++]!;
      const length = (last.at.param - first.at.param) / 4 + (whole ? last.span : last.length);
      program.update(row, first.at, length, step % FLUSH_EVERY === 0, constants);
    }
  }

  #commit(): void {
    const { skip, zeroGrad } = this.#options;
    for (let i = 0; i < this.#groups.length; i++) {
      const group = this.#groups[i]!;
      for (const tensor of group.tensors) {
        if (!skip?.has(tensor.name)) {
          tensor.step++;
          group.lastLr = this.#rates[i]!;
        } else if (zeroGrad) tensor.view("grad").fill(0);
      }
    }
    const step = this.#largest;
    const gradNorm = this.#gradNorm;
    this.result = gradNorm === undefined ? { step, skipped: false } : { step, skipped: false, gradNorm };
  }
}

function continues(tensor: Tensor, step: number, skip: Skip): boolean {
  return tensor.joins && tensor.step === step && !skip?.has(tensor.name);
}

/** How many partial sums the gradient norm has. */
export function normBlocks({ tensors }: Group): number {
  return tensors.reduce((sum, { length }) => sum + Math.ceil(length / NORM_BLOCK), 0);
}

export function largestStep(groups: readonly Group[]): number {
  return groups.reduce((largest, group) => Math.max(largest, group.largestStep()), 0);
}

export function zeroGrads(groups: readonly Group[]): void {
  for (const { tensors } of groups) for (const tensor of tensors) tensor.view("grad").fill(0);
}

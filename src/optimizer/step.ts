/**
 * The parts of a step, in their order. Between any two of them a host may do something of its own:
 *
 *     plan           checks everything; nothing has changed yet
 *     writeSquares   norm: a program that sums the squares of the gradients
 *     normOf         … and, once that has run, their norm
 *     factorOf       what the gradients are multiplied by
 *     writeUpdate    update: a program that changes parameters and moments
 *     commit         counts the step, once that has run; or
 *     skip           counts none, where the norm says so
 */
import type { StepSettings } from "../checks/defaults.js";
import { fail } from "../checks/errors.js";
import { FORMATS } from "../checks/formats.js";
import type { StepResult } from "../checks/types.js";
import { CONSTANT_COUNT } from "../generated/call.js";
import { halves } from "../kernels/modules.js";
import type { Program } from "../kernels/program.js";
import { FLUSH_EVERY, NORM_BLOCK, rowOf } from "../kernels/table.js";
import { type Group, valueAt } from "./group.js";
import { keepsZeros, stepConstants } from "./stepConstants.js";
import type { Tensor } from "./tensor.js";

/** A step that has been checked. */
export interface Step {
  readonly groups: readonly Group[];
  readonly settings: StepSettings;
  /** The largest step count of any parameter, after the step. */
  readonly count: number;
}

/** @throws Error `ERR_STEP_LIMIT`; TypeError, RangeError for a value of a schedule; whatever a schedule throws */
export function plan(groups: readonly Group[], settings: StepSettings): Step {
  const { skip } = settings;
  let count = 0;
  for (const group of groups) {
    let after = 0;
    let active = false;
    for (const tensor of group.tensors) {
      const skipped = skip?.has(tensor.name) ?? false;
      active ||= !skipped;
      after = Math.max(after, skipped ? tensor.step : tensor.step + 1);
    }
    if (after > Number.MAX_SAFE_INTEGER) fail(Error, "ERR_STEP_LIMIT", "step", "a count up to 2^53 - 1", "one more");
    if (active) {
      group.nextLr = valueAt(group.hyper.lr, "lr", after);
      group.nextWeightDecay = valueAt(group.hyper.weightDecay, "weightDecay", after);
    }
    count = Math.max(count, after);
  }
  return { groups, settings, count };
}

/** Whether the norm of the gradients decides anything. */
function usesNorm({ clipNorm, skipNonFinite, maxSkipped }: StepSettings): boolean {
  return clipNorm !== undefined || skipNonFinite || maxSkipped !== undefined;
}

/** Whether the norm has to be computed: it decides something, and the caller has not given it. */
export function needsSquares(settings: StepSettings): boolean {
  return usesNorm(settings) && settings.gradNorm === undefined;
}

export function writeSquares(program: Program, groups: readonly Group[], { skip }: StepSettings): void {
  for (const { hyper, tensors } of groups) {
    const format = FORMATS.indexOf(hyper.grads);
    for (const tensor of tensors) {
      if (!skip?.has(tensor.name)) program.sumSquares(tensor.at.grad, tensor.length, format);
    }
  }
}

/**
 * L2 norm of the unscaled gradients, in float64: the caller's, or of what `program` has summed. Not finite if a gradient is not.
 *
 * @returns undefined if the norm decides nothing
 */
export function normOf(settings: StepSettings, program: Program): number | undefined {
  if (!usesNorm(settings)) return undefined;
  return settings.gradNorm ?? Math.sqrt(program.total()) / settings.gradScale;
}

/** clip / gradScale, in float64. */
export function factorOf({ clipNorm, gradScale }: StepSettings, norm: number | undefined): number {
  // Without a comparison, no gradients at all would give 0 / 0.
  const clips = clipNorm !== undefined && norm !== undefined && norm > clipNorm;
  return clips ? clipNorm / norm / gradScale : 1 / gradScale;
}

export function writeUpdate(program: Program, { groups, settings }: Step, factor: number): void {
  for (const group of groups) writeGroup(program, group, settings, factor);
}

/** Of the update that is being written. */
const constants = new Float32Array(CONSTANT_COUNT);

function writeGroup(program: Program, group: Group, { skip, zeroGrad }: StepSettings, factor: number): void {
  const { hyper, tensors, nextLr: lr, nextWeightDecay: weightDecay } = group;
  const coupled = group.coupled && weightDecay !== 0;
  const signed = hyper.maximize ? -factor : factor;
  const gradient = zeroGrad ? "zeroing" : Math.fround(signed) === 1 ? "plain" : "scaled";
  const row = rowOf(coupled ? "l2" : "decoupled", hyper.amsgrad, gradient) + group.formats;

  for (let next = 0; next < tensors.length; ) {
    const first = tensors[next++]!;
    if (skip?.has(first.name)) continue;
    const step = first.step + 1;
    stepConstants(constants, hyper, coupled, lr, weightDecay, step, signed);
    // Tensors with the same step have the same constants. As long as padding stays zero, neighbours are one kernel call.
    const joins = keepsZeros(constants);
    let length = joins ? first.span : first.length;
    while (joins && next < tensors.length && continues(tensors[next]!, first.step, skip))
      length += tensors[next++]!.span;
    program.update(row, first.at, length, step % FLUSH_EVERY === 0, constants);
    if (group.formats + group.copies > 0) program.integers([first.at.copy, halves().seedOf(step), group.copies]);
  }
}

function continues(tensor: Tensor, step: number, skip: StepSettings["skip"]): boolean {
  return tensor.joins && tensor.step === step && !skip?.has(tensor.name);
}

/** Counts a step whose update has run. */
export function commit({ groups, settings, count }: Step, norm: number | undefined): StepResult {
  const { skip, zeroGrad } = settings;
  for (const group of groups) {
    let active = false;
    for (const tensor of group.tensors) {
      if (!skip?.has(tensor.name)) {
        tensor.step++;
        active = true;
      } else if (zeroGrad) tensor.array("grad")!.fill(0);
    }
    if (active) {
      group.lastLr = group.nextLr;
      group.lastWeightDecay = group.nextWeightDecay;
    }
  }
  return norm === undefined ? { step: count, skipped: false } : { step: count, skipped: false, gradNorm: norm };
}

/** Leaves a step out, because of a norm that is not finite. */
export function skip({ groups, settings }: Step, gradNorm: number): StepResult {
  if (settings.zeroGrad) zeroGrads(groups);
  return { step: largestStep(groups), skipped: true, gradNorm };
}

/** How many partial sums of the gradient norm a tensor has. */
export function normBlocks(length: number): number {
  return Math.ceil(length / NORM_BLOCK);
}

export function largestStep(groups: readonly Group[]): number {
  return groups.reduce((largest, group) => Math.max(largest, group.largestStep()), 0);
}

export function zeroGrads(groups: readonly Group[]): void {
  for (const { tensors } of groups) for (const tensor of tensors) tensor.array("grad")!.fill(0);
}

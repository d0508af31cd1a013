/** What tests of threads share: models that are large enough for them, and runs compared. */
import { Adam, type AdamOptions, AdamW, type RuntimeOptions, type StepOptions } from "fused-adam";
import { expect } from "vitest";
import { NORM_BLOCK } from "../../src/kernels/table.js";
import { SMALL } from "../../src/threads/choose.js";
import { firstDifference } from "../support/bits.js";
import { dyadic, type Mode, type Optimizer } from "../support/model.js";

export { NORM_BLOCK, SMALL };

export function create(
  mode: Mode,
  params: Parameters<typeof AdamW.createSync>[0],
  options: AdamOptions & RuntimeOptions = {},
): Optimizer {
  return (mode === "adam" ? Adam : AdamW).createSync(params, options);
}

/** Enough for threads, in lengths that no block, line or chunk divides. */
export function large(): Record<string, Float32Array> {
  return { a: dyadic(SMALL + 4097, 1), b: dyadic(30001, 2), c: dyadic(1, 3) };
}

/** The same gradients for all of them. */
export function fillAll(optimizers: readonly Optimizer[], seed: number, kind: (n: number, s: number) => Float32Array) {
  for (const [i, name] of optimizers[0]!.names.entries()) {
    const values = kind(optimizers[0]!.grad(name).length, 31 * seed + i);
    for (const optimizer of optimizers) optimizer.grad(name).set(values);
  }
}

/** By the bytes, which is quick; only where those differ, element by element. Parameters, gradients, and with `state` all else. */
export function expectSameRun(actual: Optimizer, expected: Optimizer, when: string, state = true): void {
  const same = (what: string, a: Float32Array, b: Float32Array) => {
    if (Buffer.compare(bytesOf(a), bytesOf(b)) === 0) return;
    const at = firstDifference(a, b);
    if (at >= 0) throw new Error(`${when}, ${what}: element ${at} of ${a.length} is ${a[at]}, expected ${b[at]}`);
  };
  for (const name of expected.names) {
    same(`param of ${name}`, actual.param(name), expected.param(name));
    same(`grad of ${name}`, actual.grad(name), expected.grad(name));
  }
  if (!state) return;
  const [a, b] = [actual.stateDict(), expected.stateDict()];
  expect(a.param_groups, when).toEqual(b.param_groups);
  for (const name of expected.names) {
    const [entry, other] = [a.state[name]!, b.state[name]!];
    expect(entry.step, `${when}, step of ${name}`).toBe(other.step);
    same(`expAvg of ${name}`, entry.exp_avg, other.exp_avg);
    same(`expAvgSq of ${name}`, entry.exp_avg_sq, other.exp_avg_sq);
    expect(entry.max_exp_avg_sq === undefined).toBe(other.max_exp_avg_sq === undefined);
    if (other.max_exp_avg_sq) same(`maxExpAvgSq of ${name}`, entry.max_exp_avg_sq!, other.max_exp_avg_sq);
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** The step counts, and nothing else, of an optimizer. */
export function countsOf(optimizer: Optimizer): number[] {
  const { state } = optimizer.stateDict();
  return optimizer.names.map((name) => state[name]!.step);
}

export type Call = "step" | "stepAsync";
export const CALLS = ["step", "stepAsync"] as const;

/** A promise in both cases; `step` has run when this returns. */
export async function call(how: Call, optimizer: Optimizer, options?: StepOptions) {
  return optimizer[how](options);
}

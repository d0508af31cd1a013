import { type ReferenceOptions, type ReferenceState, referenceStep } from "../test/reference.js";
import { HYPER, type Start, startValues } from "./data.js";

export const REGIONS = ["param", "expAvg", "expAvgSq"] as const;
export type RegionName = (typeof REGIONS)[number];

/** The values of a region in order, in one or more pieces. */
export type Values = Iterable<Float32Array> | AsyncIterable<Float32Array>;

export interface Expectation {
  /** Steps taken so far; 0: everything is as it was. */
  readonly steps: number;
  /** Where it differs from the bench's AdamW. */
  readonly options?: Partial<ReferenceOptions>;
  /** One period of what it started from, where that is not the bench's. */
  readonly start?: Start;
  /** clip / gradScale. */
  readonly factor?: number;
  /**
   * 0: the same bits. Otherwise a relative error for moments; for a parameter a multiple of lr, which is about how far a step
   * can move it, plus two roundings of the parameter itself.
   */
  readonly tolerance: number;
}

/**
 * Compares every parameter and moment with the reference: nothing is timed before its result is right.
 *
 * @throws Error that names the first value that is wrong
 */
export async function check(
  name: string,
  length: number,
  read: (region: RegionName) => Values,
  expectation: Expectation,
): Promise<void> {
  const state = expectedAfter(length, expectation);
  for (const region of REGIONS) {
    const expected = state[region];
    let at = 0;
    for await (const values of read(region)) {
      const wrong = firstWrong(values, expected, at % expected.length, region, expectation.tolerance);
      if (wrong >= 0) {
        const wanted = expected[(at + wrong) % expected.length];
        throw new Error(`"${name}": expected ${region}[${at + wrong}] = ${wanted}, got ${values[wrong]}`);
      }
      at += values.length;
    }
    if (at !== length) throw new Error(`"${name}": expected ${length} values of ${region}, got ${at}`);
  }
}

function expectedAfter(
  length: number,
  { steps, options, start = startValues(length), factor }: Expectation,
): ReferenceState {
  const [param, grad] = [start.param.slice(), start.grad];
  const zeros = () => new Float32Array(param.length);
  const state = { param, grad, expAvg: zeros(), expAvgSq: zeros(), maxExpAvgSq: zeros(), step: 0 };
  const defaults = { mode: "adamw", ...HYPER, amsgrad: false, maximize: false, biasCorrection: true } as const;
  for (let i = 0; i < steps; i++) referenceStep(state, { ...defaults, ...options }, factor);
  return state;
}

function firstWrong(
  values: Float32Array,
  expected: Float32Array,
  from: number,
  region: RegionName,
  tolerance: number,
): number {
  const [absolute, relative] = region === "param" ? [tolerance * HYPER.lr, 2 ** -22] : [0, tolerance];
  for (let i = 0, j = from; i < values.length; i++, j = j + 1 === expected.length ? 0 : j + 1) {
    const value = values[i]!;
    const wanted = expected[j]!;
    if (Object.is(value, wanted)) continue;
    // Written so that a NaN is wrong.
    if (tolerance > 0 && Math.abs(value - wanted) <= absolute + relative * Math.abs(wanted)) continue;
    return i;
  }
  return -1;
}

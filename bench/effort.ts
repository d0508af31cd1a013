import type { Plan } from "./measure.js";

const [KI, MI] = [1 << 10, 1 << 20];

/** Which sizes a run measures, and for how long. */
export interface Effort {
  /** Parameters of a model, ascending. */
  readonly sizes: readonly number[];
  readonly plan: (length: number) => Plan;
}

export const FULL: Effort = {
  sizes: [16, 256, 4 * KI, 64 * KI, MI, 16 * MI, 64 * MI],
  plan: (length) => ({
    rounds: length <= MI ? 21 : length <= 16 * MI ? 11 : 7,
    milliseconds: 4,
    warmUp: length <= MI ? 60 : 1,
  }),
};

/** For a quick look: fewer rounds, and no models of gigabytes. */
export const QUICK: Effort = {
  sizes: [16, 4 * KI, 64 * KI, MI],
  plan: () => ({ rounds: 5, milliseconds: 2, warmUp: 20 }),
};

/** The sizes of a section that are also in this run; the largest of the run where none is. */
export function sizesFrom({ sizes }: Effort, wanted: readonly number[]): number[] {
  const both = wanted.filter((length) => sizes.includes(length));
  return both.length > 0 ? both : [sizes.at(-1)!];
}

/** "65,536", "16 Mi": what tables, goals and charts call a number of parameters. */
export function sizeName(length: number): string {
  return length >= MI && length % MI === 0 ? `${length / MI} Mi` : length.toLocaleString("en");
}

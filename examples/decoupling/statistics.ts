import { linearRegression, mean, sampleStandardDeviation } from "simple-statistics";

/** A mean with how far the values are from it and how far it may be from the true one. NaN where one value does not say. */
export interface Summary {
  readonly mean: number;
  /** Standard deviation of the values, as a sample. */
  readonly deviation: number;
  /** Standard error of the mean. */
  readonly error: number;
}

export function summary(values: readonly number[]): Summary {
  const deviation = values.length < 2 ? Number.NaN : sampleStandardDeviation([...values]);
  return { mean: mean([...values]), deviation, error: deviation / Math.sqrt(values.length) };
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** The line with the least squared distances in y. */
export function leastSquares(points: readonly Point[]): { readonly slope: number; at(x: number): number } {
  const { m, b } = linearRegression(points.map(({ x, y }) => [x, y]));
  return { slope: m, at: (x) => m * x + b };
}

/**
 * Where the parabola through the highest point and its two neighbours has its top. The highest point itself where it is the first or
 * the last.
 *
 * @param points x ascending
 */
export function top(points: readonly Point[]): number {
  const highest = points.reduce((best, { y }, i) => (y > points[best]!.y ? i : best), 0);
  const { x, y } = points[highest]!;
  const [left, right] = [points[highest - 1], points[highest + 1]];
  if (left === undefined || right === undefined) return x;
  // With the highest point as origin y = a·x² + b·x, through both neighbours. Its top is at -b / 2a.
  const [l, r] = [left.x - x, right.x - x];
  const [below, beyond] = [(left.y - y) / l, (right.y - y) / r];
  const a = (beyond - below) / (r - l);
  return a === 0 ? x : x - (below - a * l) / (2 * a);
}

/** The standard error of a statistic of `items`, by leaving out one after the other (jackknife). NaN for less than two. */
export function leaveOneOut<T>(items: readonly T[], statistic: (items: readonly T[]) => number): number {
  if (items.length < 2) return Number.NaN;
  const without = items.map((_, i) => statistic(items.toSpliced(i, 1)));
  const centre = mean(without);
  const squares = without.reduce((sum, value) => sum + (value - centre) ** 2, 0);
  return Math.sqrt(((items.length - 1) / items.length) * squares);
}

/** Weights that start smaller than this are left out: dividing by them would measure rounding, not decay. */
const SMALLEST_WEIGHT = 0.01;

/** Weights grouped by the size of their gradients, smallest first; the last group are those whose gradient was always zero. */
export function binByGradient(start: Float32Array, rms: Float64Array, binCount: number): Uint32Array[] {
  const measurable = Uint32Array.from(start.keys()).filter((i) => Math.abs(start[i]!) >= SMALLEST_WEIGHT);
  const active = measurable.filter((i) => rms[i]! > 0).sort((i, j) => rms[i]! - rms[j]!);
  const edge = (bin: number) => Math.round((bin * active.length) / binCount);
  const bins = Array.from({ length: binCount }, (_, bin) => active.subarray(edge(bin), edge(bin + 1)));
  return [...bins, measurable.filter((i) => rms[i] === 0)];
}

export interface Spread {
  readonly median: number;
  /** 10th and 90th percentile. */
  readonly low: number;
  readonly high: number;
}

export function spread(bin: Uint32Array, values: Float64Array): Spread {
  const sorted = Float64Array.from(bin, (i) => values[i]!).sort();
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))]!;
  return { median: at(0.5), low: at(0.1), high: at(0.9) };
}

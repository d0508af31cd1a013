import { Bench } from "tinybench";

/** Something that can be timed: one call does one step of `length` parameters. */
export interface Contender {
  readonly name: string;
  readonly step: () => unknown;
}

/** Nanoseconds per call, one number per round; rounds pair up across contenders. */
export type Samples = ReadonlyMap<string, readonly number[]>;

export interface Rounds {
  readonly rounds: number;
  /** Calls per round, timed together by tinybench and summed up as their median. */
  readonly calls: number;
}

/** About as many calls as make a round of some milliseconds, for a step over `length` parameters. */
export function roundsFor(length: number): Rounds {
  return { rounds: length >= 1 << 22 ? 11 : 25, calls: Math.max(3, Math.min(20_000, Math.round(2e6 / length))) };
}

/**
 * Times contenders in turn, round after round, so that what the machine does meanwhile hits all of them alike. The order
 * turns with the round: nobody always runs after the same neighbour.
 */
export function alternate(contenders: readonly Contender[], { rounds, calls }: Rounds): Samples {
  const samples = new Map(contenders.map(({ name }) => [name, [] as number[]]));
  for (let round = -2; round < rounds; round++) {
    const turn = Math.abs(round) % contenders.length;
    const bench = new Bench({ time: 0, iterations: calls, warmup: false });
    for (const { name, step } of [...contenders.slice(turn), ...contenders.slice(0, turn)]) bench.add(name, step);
    for (const task of bench.runSync()) {
      if (task.result.state !== "completed") throw new Error(`${task.name} did not complete: ${task.result.state}`);
      // The first rounds warm up: both compilers, and the frequency governor.
      if (round >= 0) samples.get(task.name)!.push(task.result.latency.p50 * 1e6);
    }
  }
  return samples;
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = q * (sorted.length - 1);
  const low = Math.floor(at);
  return sorted[low]! + (at - low) * ((sorted[low + 1] ?? sorted[low]!) - sorted[low]!);
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** Median and quartiles of `a / b`, round by round. */
export function ratio(samples: Samples, a: string, b: string): { median: number; low: number; high: number } {
  const paired = samples.get(a)!.map((value, i) => value / samples.get(b)![i]!);
  return { median: median(paired), low: quantile(paired, 0.25), high: quantile(paired, 0.75) };
}

export function formatRatio(samples: Samples, a: string, b: string): string {
  const { median: middle, low, high } = ratio(samples, a, b);
  return `${middle.toFixed(2)} (${low.toFixed(2)}–${high.toFixed(2)})`;
}

import { Bench, type Task } from "tinybench";

/** Something to time. One call does one step; a contender in another process measures itself. */
export type Contender = { readonly name: string } & (
  | {
      readonly step: () => unknown;
      /** Runs before every call and is not timed. */
      readonly before?: () => void;
    }
  | { readonly time: Timer }
);

/** Makes so many calls in a row; nanoseconds per call. */
export type Timer = (calls: number) => Promise<number>;

/** Nanoseconds per call by contender, one number per round; the same index is the same round. */
export type Samples = ReadonlyMap<string, readonly number[]>;

export interface Plan {
  readonly rounds: number;
  /** How long each contender's turn in a round is meant to take; one call at least. */
  readonly milliseconds: number;
  /** Milliseconds each runs before it is timed, so that compilers and clock frequency settle. */
  readonly warmUp: number;
}

/** A median and its quartiles. */
export interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

/** Batches per turn: short calls are timed many at once, and a single interruption does not decide a turn. */
const BATCHES = 16;

/** Nanoseconds per call: tinybench's median over batches. */
export function timeCalls(step: () => unknown, calls: number, before?: () => void): number {
  const size = before === undefined ? Math.ceil(calls / BATCHES) : 1;
  const bench = benchOf(calls, size);
  const batch = () => {
    for (let i = 0; i < size; i++) step();
  };
  // `async` is given because tinybench would otherwise make a call to find out, and one step more gives another result.
  bench.add("calls", batch, { async: false, ...(before !== undefined && { beforeEach: before }) });
  return perCall(bench.runSync()[0]!, size);
}

/** The same for asynchronous steps. */
export async function timeAsyncCalls(step: () => Promise<unknown>, calls: number): Promise<number> {
  const size = Math.ceil(calls / BATCHES);
  const bench = benchOf(calls, size);
  const batch = async () => {
    for (let i = 0; i < size; i++) await step();
  };
  bench.add("calls", batch, { async: true });
  return perCall((await bench.run())[0]!, size);
}

function benchOf(calls: number, size: number): Bench {
  return new Bench({ time: 0, iterations: Math.ceil(calls / size), warmup: false, throws: true });
}

function perCall({ name, result }: Task, size: number): number {
  if (result.state !== "completed") throw new Error(`${name} did not complete: ${result.state}`);
  return (result.latency.p50 * 1e6) / size;
}

export function timerOf(contender: Contender): Timer {
  if ("time" in contender) return contender.time;
  return async (calls) => timeCalls(contender.step, calls, contender.before);
}

/**
 * Times contenders in turn, round after round, so that what else the machine does affects all of them alike. The order
 * rotates with the round, so that none always runs after the same one.
 */
export async function alternate(
  contenders: readonly Contender[],
  plan: Plan,
  onRound: (round: number) => void = () => {},
): Promise<Samples> {
  const turns: { timer: Timer; calls: number; samples: number[] }[] = [];
  const samples = new Map<string, number[]>();
  for (const contender of contenders) {
    const timer = timerOf(contender);
    const own: number[] = [];
    turns.push({ timer, calls: await warmUp(timer, plan), samples: own });
    samples.set(contender.name, own);
  }
  for (let round = 0; round < plan.rounds; round++) {
    onRound(round);
    const first = round % turns.length;
    for (const turn of [...turns.slice(first), ...turns.slice(0, first)])
      turn.samples.push(await turn.timer(turn.calls));
  }
  return samples;
}

/** Warms it up; returns how many calls make a turn. */
async function warmUp(timer: Timer, { milliseconds, warmUp }: Plan): Promise<number> {
  let calls = 1;
  let each = await timer(calls);
  for (let spent = each; spent < warmUp * 1e6; spent += each * calls) {
    calls = turnOf(each, milliseconds);
    each = await timer(calls);
  }
  return turnOf(each, milliseconds);
}

function turnOf(each: number, milliseconds: number): number {
  return Math.max(1, Math.min(100_000, Math.round((milliseconds * 1e6) / each)));
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

export function spread(values: readonly number[]): Spread {
  return { median: median(values), low: quantile(values, 0.25), high: quantile(values, 0.75) };
}

/** Median and quartiles of `a / b`, round by round. */
export function ratio(samples: Samples, a: string, b: string): Spread {
  return spread(samples.get(a)!.map((value, i) => value / samples.get(b)![i]!));
}

export function formatSpread({ median: middle, low, high }: Spread): string {
  return `${short(middle)} (${short(low)}–${short(high)})`;
}

export function formatRatio(samples: Samples, a: string, b: string): string {
  return formatSpread(ratio(samples, a, b));
}

/** Three digits; two after the point for values near 1. */
export function short(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString("en");
  return value >= 10 ? value.toFixed(1) : value.toFixed(value < 0.1 ? 3 : 2);
}

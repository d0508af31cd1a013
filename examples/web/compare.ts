import { type Contender, HYPER } from "./contenders.js";

/** Steps that every contender takes before it is timed, each with another gradient. */
export const COMMON_STEPS = 8;
/** How much results may differ: this share of α · steps, which is about how far a parameter can move. */
const AGREEMENT = 1e-4;
const ROUNDS = 7;
/** Clocks in browsers are coarse: a round is some hundred ticks long. */
const ROUND_MILLISECONDS = 60;

/**
 * The largest difference of a parameter from the first contender's, for each.
 * @throws Error if one gets another result: its time would mean nothing
 */
export async function agree(contenders: readonly Contender[]): Promise<number[]> {
  const ends: Float32Array[] = [];
  for (const contender of contenders) {
    await contender.ready?.();
    for (let gradient = 0; gradient < COMMON_STEPS; gradient++) contender.step(gradient);
    ends.push(await contender.params());
  }
  return ends.map((end, i) => {
    const difference = end.reduce((largest, value, j) => Math.max(largest, Math.abs(value - ends[0]![j]!)), 0);
    // NaN compares as false, so it is always found.
    if (!(difference <= AGREEMENT * HYPER.lr * COMMON_STEPS)) {
      throw new Error(`${contenders[i]!.name} ended ${difference} apart from ${contenders[0]!.name}`);
    }
    return difference;
  });
}

/** Steps per second, for each. Contenders take turns, so what else the machine does affects all of them alike. */
export async function time(contenders: readonly Contender[], onProgress: (what: string) => void): Promise<number[]> {
  const speeds = contenders.map((): number[] => []);
  // The first round warms up: compilers, and the frequency governor.
  for (let round = -1; round < ROUNDS; round++) {
    onProgress(round < 0 ? "Warming up …" : `Round ${round + 1} of ${ROUNDS} …`);
    for (let turn = 0; turn < contenders.length; turn++) {
      const i = (turn + round + 1) % contenders.length;
      const contender = contenders[i]!;
      await contender.ready?.();
      const speed = await stepsPerSecond(contender);
      if (round >= 0) speeds[i]!.push(speed);
    }
  }
  return speeds.map((values) => values.sort((a, b) => a - b)[values.length >> 1]!);
}

async function stepsPerSecond(contender: Contender): Promise<number> {
  contender.step(0);
  await contender.idle?.();
  const start = performance.now();
  let steps = 0;
  let batch = 1;
  let milliseconds = 0;
  while (milliseconds < ROUND_MILLISECONDS) {
    for (let i = 0; i < batch; i++) contender.step(0);
    if (contender.idle !== undefined) await contender.idle();
    steps += batch;
    milliseconds = performance.now() - start;
    // Reading the clock takes as long as a small step, so it is read less often where steps are short.
    if (milliseconds < ROUND_MILLISECONDS / 4) batch *= 2;
  }
  return (1000 * steps) / milliseconds;
}

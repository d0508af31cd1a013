import { createRng, normal } from "../shared/rng.js";
import { BASELINE, CONTENDERS, CONTROL, type ContenderName } from "./contenders.js";

/** Whose second moments are drawn. */
export const DRAWN = [BASELINE, "bfloat16 moments", CONTROL] as const satisfies readonly ContenderName[];

/** Gradients are random numbers: so many steps with the first standard deviation, then as many with the second. */
export const DEVIATIONS = [1, 0.1] as const;
export const STEPS_EACH = 4000;
const ELEMENTS = 1024;
const EVERY = 50;

/** Mean of `expAvgSq` after so many steps. */
export interface Moment {
  readonly contender: ContenderName;
  readonly step: number;
  readonly mean: number;
}

/** What gradients of constant variance make of v. */
export async function standstill(): Promise<Moment[]> {
  const moments: Moment[] = [];
  for (const contender of DRAWN) {
    const rng = createRng(1);
    const learner = await CONTENDERS[contender]({ w: new Float32Array(ELEMENTS) }, {});
    const grad = learner.grads.w!;
    for (let step = 1; step <= STEPS_EACH * DEVIATIONS.length; step++) {
      const deviation = DEVIATIONS[Math.floor((step - 1) / STEPS_EACH)]!;
      for (let i = 0; i < ELEMENTS; i++) grad[i] = deviation * normal(rng);
      learner.step();
      if (step % EVERY !== 0) continue;
      const mean = learner.expAvgSq().w!.reduce((sum, v) => sum + v, 0) / ELEMENTS;
      moments.push({ contender, step, mean });
    }
    learner.dispose();
  }
  return moments;
}

/** What was reached with each standard deviation. */
export function reached(moments: readonly Moment[], contender: ContenderName): number[] {
  return DEVIATIONS.map(
    (_, i) => moments.find((moment) => moment.contender === contender && moment.step === STEPS_EACH * (i + 1))!.mean,
  );
}

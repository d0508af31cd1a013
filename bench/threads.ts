import { type Effort, sizeName } from "./effort.js";
import { alternate, type Contender, formatSpread, ratio } from "./measure.js";
import { createModel } from "./model.js";
import type { Report } from "./report.js";

const KI = 1 << 10;
/** Steps of fewer elements run on one thread. */
const SIZES = [64 * KI, 256 * KI, 1024 * KI, 16 * 1024 * KI];
const [ONE, AUTO] = ["1 thread", 'threads: "auto"'];
const CHOICES = { [ONE]: 1, "2 threads": 2, [AUTO]: "auto" } as const;

/** What a training loop does between two steps: workers fall asleep meanwhile. */
const OWN_WORK_MS = 5;
export const PATTERNS = {
  "steps back to back": undefined,
  [`steps with ${OWN_WORK_MS} ms of own work before each`]: () => {
    for (const end = performance.now() + OWN_WORK_MS; performance.now() < end; );
  },
};

/** What threads gain or cost where steps follow each other, and where a backward pass comes before each. */
export async function threadsInLoops(report: Report, effort: Effort): Promise<void> {
  for (const [title, before] of Object.entries(PATTERNS)) {
    for (const length of SIZES.filter((size) => size <= Math.max(...effort.sizes, SIZES[0]!))) {
      const models = Object.entries(CHOICES).map(([name, threads]) => ({ name, ...createModel(length, { threads }) }));
      const contenders = models.map(({ name, optimizer }): Contender => {
        const step = () => optimizer.step();
        return before === undefined ? { name, step } : { name, step, before };
      });
      // Workers start while this thread is idle.
      for (const { optimizer } of models) await optimizer.stepAsync();
      const plan = effort.plan(length);
      const samples = await alternate(contenders, before === undefined ? plan : { ...plan, milliseconds: 1 });
      for (const { optimizer } of models) optimizer.dispose();
      report.timings(title, length, samples, ONE);
      const cost = ratio(samples, AUTO, ONE);
      report.goal(`${sizeName(length)}, ${title}: ${AUTO} at most 1.05`, cost.median <= 1.05, formatSpread(cost));
    }
  }
}

import { type Effort, sizeName } from "./effort.js";
import { FUSED } from "./entrants/package.js";
import { availableMemory } from "./host.js";
import { alternate, formatSpread, spread } from "./measure.js";
import { createModel } from "./model.js";
import type { Report } from "./report.js";

const MI = 1 << 20;

/** Whether a parameter takes as long in a model of 64 Mi as in one of 16 Mi. */
export async function largeModels(report: Report, effort: Effort): Promise<void> {
  const sizes = [16 * MI, 64 * MI] as const;
  if (!effort.sizes.includes(sizes[1])) return;
  if (sizes[1] * 20 > 0.8 * availableMemory()) return report.note(`${sizeName(sizes[1])} left out: it takes 1.3 GiB`);
  report.status("64 Mi beside 16 Mi");
  const models = sizes.map((length) => createModel(length));
  const contenders = models.map(({ optimizer, views }) => ({
    name: `${FUSED}, ${sizeName(views.param.length)}`,
    step: () => optimizer.step(),
  }));
  const samples = await alternate(contenders, effort.plan(sizes[1]));
  const [small, large] = contenders.map(({ name }) => samples.get(name)!) as [number[], number[]];
  const growth = spread(large.map((value, i) => value / 4 / small[i]!));
  report.row("64 Mi beside 16 Mi", sizes[1], { "64 Mi ÷ 16 Mi, per parameter": formatSpread(growth) });
  report.goal("64 Mi ÷ 16 Mi, per parameter, at most 1.15", growth.median <= 1.15, formatSpread(growth));
  for (const { optimizer } of models) optimizer.dispose();
  globalThis.gc?.();
}

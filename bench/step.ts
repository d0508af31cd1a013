import { type Effort, sizeName } from "./effort.js";
import type { Entrant, Entry } from "./entrants/entrant.js";
import { entrants } from "./entrants/index.js";
import { LOAD_STORE, SQRT_DIV } from "./entrants/limits.js";
import { LOOP } from "./entrants/loop.js";
import { NATIVE, NATIVE_2 } from "./entrants/native.js";
import { FUSED, FUSED_2, FUSED_SCALAR } from "./entrants/package.js";
import { availableMemory } from "./host.js";
import { alternate, formatRatio, formatSpread, ratio, type Samples, type Spread } from "./measure.js";
import type { Report } from "./report.js";

export const STEP = "AdamW step";

/** One AdamW step at every size: the package, its peers, native code and the limits of the machine. */
export async function stepSpeed(report: Report, effort: Effort): Promise<void> {
  const { list, notes } = entrants();
  for (const note of notes) report.note(note);
  for (const length of effort.sizes) {
    const field = fieldAt(list, length, report);
    if (field.length === 0) continue;
    const samples = await race(field, length, effort, report);
    const traffic = (name: string) => field.find((entrant) => entrant.name === name)?.traffic;
    report.timings(STEP, length, samples, FUSED, { traffic });
    judge(report, length, samples, field);
  }
}

/** Who runs at this size; nobody if there is not enough memory. */
function fieldAt(list: readonly Entrant[], length: number, report: Report): readonly Entrant[] {
  const field = list.filter(({ name, largest }) => {
    if (largest === undefined || length <= largest.length) return true;
    report.note(`${name}: not above ${sizeName(largest.length)}, ${largest.reason}`);
    return false;
  });
  const needed = length * field.reduce((sum, { memory }) => sum + memory, 0);
  if (needed <= 0.8 * availableMemory()) return field;
  report.note(`${sizeName(length)} left out: it takes ${(needed / 2 ** 30).toFixed(1)} GiB`);
  return [];
}

/** Opens and checks every participant, then times them in turn. */
export async function race(
  field: readonly Entrant[],
  length: number,
  effort: Effort,
  report: Report,
): Promise<Samples> {
  const activity = `${STEP}, ${sizeName(length)}:`;
  const entries: Entry[] = [];
  try {
    for (const entrant of field) {
      report.status(activity, `checking ${entrant.name}`);
      const entry = await entrant.open(length);
      entries.push(entry);
      await entry.verify();
    }
    const plan = effort.plan(length);
    report.status(activity, "warming up");
    return await alternate(entries, plan, (round) => report.status(activity, `round ${round + 1} of ${plan.rounds}`));
  } finally {
    for (const entry of entries) await entry.close();
    // Frees gigabytes before the next size.
    globalThis.gc?.();
  }
}

const KI = 1 << 10;
const MI = 1 << 20;
const IN_CACHE = [4 * KI, 64 * KI];

/** Compares the figures with the goals. */
function judge(report: Report, length: number, samples: Samples, field: readonly Entrant[]): void {
  const size = sizeName(length);
  const times = (name: string, base = FUSED): Spread => ratio(samples, name, base);
  const atLeast = (bound: number, what: string, saw: Spread, more = "") =>
    report.goal(`${size}: ${what} at least ${bound}`, saw.median >= bound, formatSpread(saw) + more);
  const atMost = (bound: number, what: string, saw: Spread) =>
    report.goal(`${size}: ${what} at most ${bound}`, saw.median <= bound, formatSpread(saw));

  const libraries = field.filter(({ kind }) => kind === "library").map(({ name }) => name);
  if (libraries.length > 0) {
    const fastest = libraries.reduce((best, name) => (times(name).median < times(best).median ? name : best));
    const bound = length <= 4 * KI ? 30 : 5;
    const more = `, ${fastest}; with 2 threads ${formatRatio(samples, fastest, FUSED_2)}`;
    atLeast(bound, `the fastest JavaScript library ÷ ${FUSED}`, times(fastest), more);
  }
  if (length === 64 * KI) {
    atLeast(6, `${LOOP} ÷ ${FUSED}`, times(LOOP));
    atMost(2.2, `${FUSED_SCALAR} ÷ ${LOOP}`, times(FUSED_SCALAR, LOOP));
  }

  if (IN_CACHE.includes(length)) atLeast(0.9, `${SQRT_DIV} ÷ ${FUSED}`, times(SQRT_DIV));
  if (length === 16 * MI) atLeast(0.9, `${LOAD_STORE} ÷ ${FUSED}`, times(LOAD_STORE));

  const gain = times(FUSED, FUSED_2);
  if (length === 16 * MI) atLeast(1.8, "1 thread ÷ 2 threads", gain);
  else if (length === 64 * KI) atLeast(1.3, "1 thread ÷ 2 threads", gain);
  atMost(1.05, "2 threads ÷ 1 thread", times(FUSED_2));

  if (samples.has(NATIVE) && (length === 16 * MI || IN_CACHE.includes(length))) {
    const bound = length === 16 * MI ? 0.9 : 0.45;
    atLeast(bound, `${NATIVE} ÷ ${FUSED}`, times(NATIVE));
    atLeast(bound, `${NATIVE_2} ÷ ${FUSED_2}`, times(NATIVE_2, FUSED_2));
  }
}

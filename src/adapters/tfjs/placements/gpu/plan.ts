import type { Hyper } from "../../../../checks/defaults.js";
import { fail } from "../../../../checks/errors.js";
import type { StepOptions } from "../../../../checks/types.js";
import { CONSTANTS, FLUSH_EVERY } from "../../../../kernels/table.js";
import { valueAt } from "../../../../optimizer/group.js";
import { stepConstants } from "../../../../optimizer/stepConstants.js";
import type { Part } from "../../placement.js";
import { KINDS, type Settings } from "../../settings.js";
import type { Slot } from "../../slot.js";
import { type Group, groupsOf, hyperOf } from "../groups.js";
import type { Flight } from "./flight.js";
import { HEAD, limitsOf, ROW } from "./shaders.js";

/** Numbers of a row. */
const WIDTH = 4 * ROW;

/** Slots of a group with equal step counts and equal histories: they have their constants in common. */
export interface Class {
  readonly coupled: boolean;
  /** Which group it is of. */
  readonly group: number;
  readonly slots: Slot[];
  /** Constants for every outcome of the steps in flight: `stride` rows for each number of them that may have been skipped. */
  readonly rows: Float32Array;
  readonly stride: number;
}

export interface Plan {
  readonly groups: readonly Group[];
  readonly classes: readonly Class[];
  /** By group, its largest count after the step. */
  readonly after: readonly number[];
}

/**
 * What a step needs from the host. The learning rate is that of the group's largest count, as in the core.
 *
 * @param flight of steps that a device decides
 * @throws RangeError for a rate that is none; Error `ERR_STEP_LIMIT`
 */
export function planOf(
  settings: Settings,
  slots: readonly Slot[],
  parts: readonly Part[],
  flight: Flight | undefined,
): Plan {
  const stepping = new Set(parts.map(({ slot }) => slot));
  const groups = groupsOf(slots);
  const classes: Class[] = [];
  const next = (slot: Slot) => slot.step + (stepping.has(slot) ? 1 : 0);
  const after = groups.map((group) => group.reduce((most, slot) => Math.max(most, next(slot)), 0));
  if (after.some((step) => step > Number.MAX_SAFE_INTEGER)) {
    fail(Error, "ERR_STEP_LIMIT", "step", "a count up to 2^53 - 1", "one more");
  }
  groups.forEach((group, i) => {
    const hyper = hyperOf(settings, group);
    // A schedule is asked once for each step.
    const rates = new Map<number, Rates>();
    const ratesAt = (step: number) => {
      const known = rates.get(step);
      if (known !== undefined) return known;
      const asked = { lr: valueAt(hyper.lr, "lr", step), weightDecay: valueAt(hyper.weightDecay, "weightDecay", step) };
      rates.set(step, asked);
      return asked;
    };
    const historyOf = (slot: Slot) => flight?.counterOf(slot).pending.join() ?? "";
    // With a schedule, slots that differ in what they took part in may lag behind the group by any number of steps.
    const fixed = typeof hyper.lr === "number" && typeof hyper.weightDecay === "number";
    const alike = fixed || new Set(group.map(historyOf)).size === 1;
    const stride = alike ? 1 : 1 + flight!.all.pending.length;
    const found = new Map<string, Class>();
    for (const slot of group) {
      if (!stepping.has(slot)) continue;
      const key = `${slot.step} ${historyOf(slot)}`;
      let known = found.get(key);
      if (known === undefined) {
        const skips = flight?.counterOf(slot).pending.length ?? 0;
        const rows = new Float32Array((1 + skips) * stride * WIDTH);
        const asked = Array.from({ length: rows.length / WIDTH }, (_, row) => {
          const skipped = Math.floor(row / stride);
          return ratesAt(Math.max(1, after[i]! - (alike ? skipped : row % stride)));
        });
        const coupled = KINDS[settings.kind].coupled && asked.some(({ weightDecay }) => weightDecay !== 0);
        asked.forEach((rates, row) => {
          const step = slot.step + 1 - Math.floor(row / stride);
          fill(rows.subarray(row * WIDTH), settings, hyper, coupled, rates, step);
        });
        known = { coupled, group: i, slots: [], rows, stride };
        found.set(key, known);
        classes.push(known);
      }
      known.slots.push(slot);
    }
  });
  return { groups, classes, after };
}

/** What may follow a schedule, at one step. */
interface Rates {
  readonly lr: number;
  readonly weightDecay: number;
}

function fill(
  row: Float32Array,
  { step: { gradScale } }: Settings,
  hyper: Hyper,
  coupled: boolean,
  { lr, weightDecay }: Rates,
  step: number,
): void {
  stepConstants(row, hyper, coupled, lr, weightDecay, step, (hyper.maximize ? -1 : 1) / gradScale);
  row[CONSTANTS.length] = step % FLUSH_EVERY === 0 ? 2 ** -126 : 0;
}

/** The rows of all classes. */
export function rowsOf({ classes }: Plan): Float32Array {
  return joined([], classes, 16);
}

/**
 * What a device needs to decide a step:
 *
 *     three limits, number of counters, number of those the last verdict has | by counter: whether it takes part, group, by how
 *     much its slot lags behind the group | by class: counter, its known skips, stride, group, place of its rows | rows
 *
 * @param decided how many counters the last verdict has
 */
export function sheetOf(
  { groups, classes, after }: Plan,
  parts: readonly Part[],
  { clipNorm, gradScale = 1 }: StepOptions,
  flight: Flight,
  decided: number,
): Float32Array {
  const taking = new Set([flight.all, ...parts.map(({ slot }) => flight.counterOf(slot))]);
  const groupOf = new Map(groups.flatMap((group, i) => group.map((slot) => [slot, i] as const)));
  const counters = flight.counters.flatMap((counter) => {
    const { slot, skips } = counter;
    const group = slot === undefined ? undefined : groupOf.get(slot);
    const takes = taking.has(counter) ? 1 : 0;
    return group === undefined ? [takes, -1, 0] : [takes, group, slot!.step + takes - after[group]! + skips];
  });
  const limits = limitsOf(clipNorm === undefined ? Infinity : clipNorm * gradScale);
  const head = [...limits, flight.counters.length, decided, ...counters];
  let place = Math.ceil((head.length + HEAD * classes.length) / 4);
  for (const { slots, stride, group, rows } of classes) {
    const { index, skips } = flight.counterOf(slots[0]!);
    head.push(index, skips, stride, group, place);
    place += rows.length / 4;
  }
  return joined(head, classes, 512);
}

/** Numbers, then rows, from a multiple of four on. */
function joined(head: readonly number[], classes: readonly Class[], room: number): Float32Array {
  let at = 4 * Math.ceil(head.length / 4);
  const length = classes.reduce((sum, { rows }) => sum + rows.length, at);
  const all = new Float32Array(4 * roomFor(length, room));
  all.set(head);
  for (const { rows } of classes) {
    all.set(rows, at);
    at += rows.length;
  }
  return all;
}

/** Vectors that so many numbers have room in. Few sizes: webgl compiles a shader anew for each size of what it reads. */
export function roomFor(numbers: number, vectors: number): number {
  return 4 * vectors < numbers ? roomFor(numbers, 2 * vectors) : vectors;
}

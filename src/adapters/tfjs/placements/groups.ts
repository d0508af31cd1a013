import type { Hyper } from "../../../checks/defaults.js";
import type { Settings } from "../settings.js";
import type { Slot } from "../slot.js";

/** Slots for which the rules say the same: they have their hyper-parameters in common. */
export type Group = readonly [Slot, ...Slot[]];

export function groupsOf(slots: Iterable<Slot>): Group[] {
  const groups = new Map<string, [Slot, ...Slot[]]>();
  for (const slot of slots) {
    const key = `${slot.rule!.decay} ${slot.rule!.lrFactor}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [slot]);
    else group.push(slot);
  }
  return [...groups.values()];
}

/** A group's own hyper-parameters, as settings and rules have them now. */
export function hyperOf({ hyper }: Settings, [{ rule }]: Group): Hyper {
  const { decay, lrFactor } = rule!;
  const { lr } = hyper;
  const scaled = typeof lr === "number" ? lr * lrFactor : (step: number) => lr(step) * lrFactor;
  return { ...hyper, lr: lrFactor === 1 ? lr : scaled, weightDecay: decay ? hyper.weightDecay : 0 };
}

import type { ParamPointers, ParamSource, Schedule } from "../../checks/types.js";
import { EXCLUSIVELY, type Optimizer } from "../../optimizer/optimizer.js";
import { KINDS, type Settings } from "./settings.js";
import type { Slot } from "./slot.js";

/** The core's optimizer over the variables of some slots: a group for each pair of decay and factor that occurs. */
export class Core {
  readonly optimizer: Optimizer;
  /** The slots of each group, in the order of its tensors. */
  readonly groups: readonly (readonly Slot[])[];

  /** @param memory the host's, if that is where `source` points */
  constructor(
    settings: Settings,
    slots: readonly Slot[],
    source: (slot: Slot) => ParamSource | ParamPointers,
    memory?: WebAssembly.Memory,
  ) {
    const groups = new Map<string, Slot[]>();
    for (const slot of slots) {
      const key = `${slot.rule!.decay} ${slot.rule!.lrFactor}`;
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key)!.push(slot);
    }
    this.groups = [...groups.values()];

    const { kernel, kind, hyper } = settings;
    const params = this.groups.map((group) => ({
      params: group.map(source),
      lr: scaled(hyper.lr, group[0]!.rule!.lrFactor),
      weightDecay: group[0]!.rule!.decay ? hyper.weightDecay : 0,
    }));
    this.optimizer = KINDS[kind].Core.createSync(params, { ...hyper, kernel, memory });
    this.optimizer[EXCLUSIVELY]((made) => {
      made.forEach(({ tensors }, i) => {
        tensors.forEach((tensor, j) => {
          const slot = this.groups[i]![j]!;
          tensor.step = slot.step;
          slot.tensor = tensor;
        });
      });
    });
  }

  setLr(lr: number | Schedule): void {
    this.groups.forEach((group, i) => {
      this.optimizer.paramGroups[i]!.lr = scaled(lr, group[0]!.rule!.lrFactor);
    });
  }
}

function scaled(lr: number | Schedule, factor: number): number | Schedule {
  if (factor === 1) return lr;
  return typeof lr === "number" ? lr * factor : (step) => lr(step) * factor;
}

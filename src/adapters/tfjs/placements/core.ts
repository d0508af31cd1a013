import type { ParamPointers, ParamSource, Schedule, StepOptions, StepResult } from "../../../checks/types.js";
import type { Pointers } from "../../../memory/regions.js";
import { EXCLUSIVELY, type Optimizer } from "../../../optimizer/optimizer.js";
import type { Tensor } from "../../../optimizer/tensor.js";
import type { Part } from "../placement.js";
import { KINDS, type Settings } from "../settings.js";
import type { Slot } from "../slot.js";
import type { Tf } from "../types.js";
import { type Group, groupsOf, hyperOf } from "./groups.js";

/** How a placement in linear memory gets values in and out. */
export interface Transfer {
  /** Before a step: its slots' regions have the values that a user of tfjs sees. */
  load(parts: readonly Part[]): void;
  /** After a step: a user of tfjs sees what it changed. */
  store(parts: readonly Part[]): void;
}

/** The core's optimizer over the variables of some slots. */
export class Core {
  readonly #settings: Settings;
  readonly #groups: readonly Group[];
  readonly #optimizer: Optimizer;
  readonly #tensors = new Map<Slot, Tensor>();
  #lr: number | Schedule;

  /** @param memory the host's, if that is where `source` points */
  constructor(
    settings: Settings,
    slots: readonly Slot[],
    source: (slot: Slot) => ParamSource | ParamPointers,
    memory?: WebAssembly.Memory,
  ) {
    const { kernel, kind, hyper } = settings;
    this.#settings = settings;
    this.#groups = groupsOf(slots);
    this.#lr = hyper.lr;
    const params = this.#groups.map((group) => {
      const { lr, weightDecay } = hyperOf(settings, group);
      return { params: group.map(source), lr, weightDecay };
    });
    this.#optimizer = KINDS[kind].Core.createSync(params, { ...hyper, kernel, memory });
    this.#optimizer[EXCLUSIVELY]((made) => {
      made.forEach(({ tensors }, i) => {
        tensors.forEach((tensor, j) => {
          const slot = this.#groups[i]![j]!;
          tensor.step = slot.step;
          this.#tensors.set(slot, tensor);
        });
      });
    });
  }

  tensorOf(slot: Slot): Tensor {
    return this.#tensors.get(slot)!;
  }

  step(tf: Tf, parts: readonly Part[], options: StepOptions, transfer: Transfer): StepResult {
    this.#followLr();
    const skip = parts.length < this.#tensors.size ? this.#namesBut(parts) : undefined;
    let result: StepResult;
    // What is made on the way is let go of, also when something throws.
    tf.tidy(() => {
      transfer.load(parts);
      result = this.#optimizer.step({ ...options, skip });
      if (result.skipped) return;
      for (const { slot } of parts) slot.step++;
      transfer.store(parts);
    });
    return result!;
  }

  /** Follows data that the host has moved within its memory. */
  relocate(places: ReadonlyMap<Slot, Pointers>): void {
    this.#optimizer[EXCLUSIVELY]((groups) => {
      groups.forEach((group, i) => {
        group.relocate(this.#groups[i]!.map((slot) => places.get(slot)));
      });
    });
  }

  dispose(): void {
    this.#optimizer.dispose();
  }

  /** The rate may have been assigned since the last step. */
  #followLr(): void {
    const { lr } = this.#settings.hyper;
    if (lr === this.#lr) return;
    this.#groups.forEach((group, i) => {
      this.#optimizer.paramGroups[i]!.lr = hyperOf(this.#settings, group).lr;
    });
    this.#lr = lr;
  }

  #namesBut(parts: readonly Part[]): string[] {
    const stepped = new Set(parts.map(({ slot }) => slot));
    return [...this.#tensors].flatMap(([slot, { name }]) => (stepped.has(slot) ? [] : [name]));
  }
}

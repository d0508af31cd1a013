import type { StepOptions, StepResult } from "../../../checks/types.js";
import { momentsOf } from "../../../memory/regions.js";
import type { Part, Placement } from "../placement.js";
import type { Settings } from "../settings.js";
import type { Slot } from "../slot.js";
import type { KernelBackend, Tf, Variable } from "../types.js";
import { Core, type Transfer } from "./core.js";

/** What keeps a variable of tfjs and its region of our memory the same. */
export interface Seat {
  /** The region has the variable's values. */
  pull(): void;
  /** The variable has the region's, after a step. */
  push(): void;
  /** The variable, and all that shares its data, keep their values without the region. */
  leave(): void;
}

/**
 * Variables in the optimizer's own memory. Gradients are copied into it. It never grows: it is made anew for other
 * variables, so whoever still holds a view of it reads what was there.
 */
export class ArenaPlacement implements Placement, Transfer {
  readonly #core: Core;
  readonly #seats = new Map<Slot, { readonly param: Seat; readonly moments: readonly Seat[] }>();

  constructor(
    readonly tf: Tf,
    readonly backend: KernelBackend,
    settings: Settings,
    slots: readonly Slot[],
    seat: (variable: Variable, view: Float32Array) => Seat,
  ) {
    this.#core = new Core(settings, slots, ({ shape }) => ({ shape }));
    const regions = momentsOf(settings.hyper);
    for (const slot of slots) {
      const tensor = this.#core.tensorOf(slot);
      this.#seats.set(slot, {
        param: seat(slot.variable!, tensor.view("param")),
        moments: slot.moments.map((moment, i) => seat(moment, tensor.view(regions[i]!.name))),
      });
    }
  }

  step(parts: readonly Part[], options: StepOptions): StepResult {
    return this.#core.step(this.tf, parts, options, this);
  }

  load(parts: readonly Part[]): void {
    for (const { slot, gradient } of parts) {
      const { param, moments } = this.#seats.get(slot)!;
      param.pull();
      for (const moment of moments) moment.pull();
      this.#core.tensorOf(slot).view("grad").set(gradient.dataSync());
    }
  }

  store(parts: readonly Part[]): void {
    for (const { slot } of parts) this.#seats.get(slot)!.param.push();
  }

  publish(): void {
    for (const { moments } of this.#seats.values()) for (const moment of moments) moment.push();
  }

  release(): void {
    this.publish();
    for (const { param, moments } of this.#seats.values()) for (const seat of [param, ...moments]) seat.leave();
    this.#core.dispose();
  }
}

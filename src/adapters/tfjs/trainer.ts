import { fail } from "../../checks/errors.js";
import { CHECKS } from "../../checks/hyper.js";
import type { Schedule, StepResult } from "../../checks/types.js";
import { type Saved, writeConfig } from "./config.js";
import type { Placement } from "./placement.js";
import { place } from "./placements/place.js";
import { checkReadable } from "./readable.js";
import type { Settings } from "./settings.js";
import { Slots } from "./slots.js";
import { inUse, type Work } from "./tensors.js";
import type { NamedTensor, Tf } from "./types.js";
import { momentWeights, readWeights } from "./weights.js";

/** All of an optimizer that is no matter of tfjs's class: the state, where it lies, and the step. */
export class Trainer {
  #slots: Slots;
  /** Undefined before the first step, and when what was placed no longer fits. */
  #placement: Placement | undefined;
  #busy = false;
  #disposed = false;

  constructor(
    readonly tf: Tf,
    readonly settings: Settings,
    readonly saved: Saved,
  ) {
    this.#slots = new Slots(tf, settings, saved);
  }

  get learningRate(): number {
    const { lr } = this.settings.hyper;
    return typeof lr === "number" ? lr : lr(Math.max(1, this.#largestStep()));
  }

  set learningRate(value: number | Schedule) {
    this.#exclusively(() => {
      this.settings.hyper.lr = CHECKS.lr("learningRate", value);
    });
  }

  /** One step of the variables that have a gradient. Those that are new join, those that were disposed of leave. */
  step(work: readonly Work[]): StepResult {
    return this.#exclusively(() => {
      const { tf, settings } = this;
      const changed = this.#slots.admit(work.map(({ variable }) => variable));
      const { claimed } = this.#slots;
      for (const { name, moments } of claimed.values()) {
        if (!moments.every((moment) => inUse(tf, moment))) {
          fail(Error, "ERR_DISPOSED", name, "moments, which getWeights() lends, that are in use", "disposed ones");
        }
      }
      const parts = work.flatMap(({ variable, gradient }) =>
        gradient === undefined ? [] : [{ slot: claimed.get(variable)!, gradient }],
      );
      for (const { slot, gradient } of parts) checkReadable(tf, `gradients.${slot.name}`, [gradient]);
      if (this.#placement?.backend !== tf.backend()) {
        for (const [variable, { moments }] of claimed) checkReadable(tf, variable.name, [variable, ...moments]);
      }
      if (changed || this.#placement?.backend !== tf.backend()) this.#leave();

      if (parts.length === 0) return { step: this.#largestStep(), skipped: false };
      this.#placement ??= place(tf, settings, [...claimed.values()]);
      return this.#placement.step(parts, settings.step);
    });
  }

  /** First moments of all variables, then second ones. */
  moments(): NamedTensor[] {
    return this.#exclusively(() => {
      this.#placement?.publish();
      return momentWeights(this.settings, this.#slots.all);
    });
  }

  /** Takes over what `getWeights` returned, all or nothing. Resolves to the number of iterations. */
  async load(weights: readonly NamedTensor[]): Promise<number> {
    const { tf, settings, saved } = this;
    const read = await readWeights(tf, settings, saved, weights);
    return this.#exclusively(() => {
      const slots = new Slots(tf, settings, saved, read.slots());
      try {
        slots.admit([...this.#slots.claimed.keys()].filter((variable) => inUse(tf, variable)));
      } catch (error) {
        slots.dispose();
        throw error;
      }
      this.#leave();
      this.#slots.dispose();
      this.#slots = slots;
      return read.iterations;
    });
  }

  config(iterations: number): Record<string, unknown> {
    return writeConfig(this.settings, this.learningRate, this.#slots.all, iterations);
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#exclusively(() => {
      this.#slots.dispose();
      this.#leave();
      this.#disposed = true;
    });
  }

  #leave(): void {
    this.#placement?.release();
    this.#placement = undefined;
  }

  #largestStep(): number {
    return this.#slots.all.reduce((largest, { step }) => Math.max(largest, step), 0);
  }

  /** Rules and schedules are the caller's code. */
  #exclusively<T>(run: () => T): T {
    if (this.#disposed) fail(Error, "ERR_DISPOSED", "optimizer", "one that is in use", "a disposed one");
    if (this.#busy) fail(Error, "ERR_BUSY", "optimizer", "one that is idle", "one with a call under way");
    this.#busy = true;
    try {
      return run();
    } finally {
      this.#busy = false;
    }
  }
}

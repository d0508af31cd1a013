import { fail } from "../../checks/errors.js";
import { CHECKS } from "../../checks/hyper.js";
import type { Schedule, StepResult } from "../../checks/types.js";
import { type Saved, writeConfig } from "./config.js";
import type { Placement } from "./placement.js";
import { checkDevice, isLost, unlessLost } from "./placements/gpu/lost.js";
import { place, staysOnDevice } from "./placements/place.js";
import { checkReadable } from "./readable.js";
import type { Settings } from "./settings.js";
import type { Slot } from "./slot.js";
import { Slots } from "./slots.js";
import { assignValues, inUse, type Work } from "./tensors.js";
import type { NamedTensor, Tf } from "./types.js";
import { momentWeights, readWeights } from "./weights.js";

/** Moments and counts by slot, as they were once. */
interface Seen {
  readonly iterations: number;
  readonly slots: ReadonlyMap<Slot, { readonly step: number; readonly values: readonly Float32Array[] }>;
}

const NOTHING_SEEN: Seen = { iterations: 0, slots: new Map() };

/** All of an optimizer that is no matter of tfjs's class: the state, where it lies, and the step. */
export class Trainer {
  /** Steps that were not skipped, those that are not known to be among them. */
  iterations = 0;
  /** What the last step did of which that is known. */
  lastStep: StepResult | undefined;
  #slots: Slots;
  /** Undefined before the first step, and when what was placed no longer fits. */
  #placement: Placement | undefined;
  /** What a lost device leaves: the state as somebody last asked for it. */
  #seen: Seen = NOTHING_SEEN;
  #calls = 0;
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
  step(work: readonly Work[]): void {
    this.#exclusively(() => {
      const { tf, settings } = this;
      this.#checkDevice();
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
        this.#placement?.finish?.();
        for (const [variable, { moments }] of claimed) checkReadable(tf, variable.name, [variable, ...moments]);
        this.#leave();
      }
      const slots = [...claimed.values()];
      if (changed && this.#placement?.follow === undefined) this.#leave();
      this.#placement?.follow?.(slots);

      this.#calls++;
      if (parts.length > 0) {
        this.#placement ??= place(tf, settings, slots, (result, skipped) => {
          this.lastStep = result;
          this.iterations -= skipped;
        });
        const result = this.#placement.step(parts, settings.step);
        this.lastStep = result ?? this.lastStep;
        if (result?.skipped) return;
      } else this.lastStep = { step: this.#largestStep(), skipped: false };
      this.iterations++;
    });
  }

  /** Waits until it is known what every step did. */
  async settle(): Promise<StepResult | undefined> {
    this.#exclusively(() => this.#checkDevice());
    await this.#placement?.settle?.();
    if (!this.#disposed) this.#checkDevice();
    return this.lastStep;
  }

  /** Settles, and has tfjs keep the values of variables and moments on the host, where they are on a GPU. */
  async readable(): Promise<void> {
    await this.settle();
    const { tf } = this;
    if (!staysOnDevice(tf, this.settings)) return;
    const variables = [...this.#slots.claimed.keys(), ...this.#slots.all.flatMap(({ moments }) => moments)];
    await unlessLost(tf.backend(), Promise.all(variables.map((variable) => inUse(tf, variable) && variable.data())));
    this.#checkDevice();
  }

  /** First moments of all variables, then second ones. */
  async moments(): Promise<NamedTensor[]> {
    await this.settle();
    const moments = this.#exclusively(() => {
      this.#placement?.publish();
      return momentWeights(this.settings, this.#slots.all);
    });
    await this.#see();
    return moments;
  }

  /** Takes over what `getWeights` returned, all or nothing. */
  async load(weights: readonly NamedTensor[]): Promise<void> {
    const { tf, settings, saved } = this;
    const read = await readWeights(tf, settings, saved, weights);
    this.#exclusively(() => {
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
      this.iterations = read.iterations;
    });
    await this.#see();
  }

  config(): Record<string, unknown> {
    return writeConfig(this.settings, this.learningRate, this.#slots.all, this.iterations);
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#exclusively(() => {
      this.#slots.dispose();
      this.#leave();
      this.#disposed = true;
    });
  }

  /** Reads the state from a GPU, for the day when it is lost. */
  async #see(): Promise<void> {
    const { tf, iterations } = this;
    if (!staysOnDevice(tf, this.settings)) return;
    const calls = this.#calls;
    const read = this.#slots.all.map(async (slot) => {
      const { step, moments } = slot;
      const values = await Promise.all(moments.map((moment) => moment.data<"float32">()));
      return [slot, { step, values }] as const;
    });
    const slots = await unlessLost(tf.backend(), Promise.all(read));
    this.#checkDevice();
    if (slots !== undefined && calls === this.#calls) this.#seen = { iterations, slots: new Map(slots) };
  }

  /** @throws Error `ERR_BACKEND` if the device is gone; the state is what was last seen of it then */
  #checkDevice(): void {
    const placement = this.#placement;
    if (placement === undefined || !isLost(placement.backend)) return;
    this.#leave();
    for (const slot of this.#slots.all) {
      const seen = this.#seen.slots.get(slot);
      slot.step = seen?.step ?? 0;
      slot.moments.forEach((moment, i) => {
        if (inUse(this.tf, moment)) assignValues(this.tf, moment, seen?.values[i] ?? new Float32Array(moment.size));
      });
    }
    this.iterations = this.#seen.iterations;
    checkDevice(this.tf.getBackend(), placement.backend);
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

import { bare } from "../checks/builtins.js";
import type { Hyper } from "../checks/defaults.js";
import { fail } from "../checks/errors.js";
import { FORMATS } from "../checks/formats.js";
import { CHECKS, FIXED_KEYS, GROUP_OPTIONS } from "../checks/hyper.js";
import type { LiveGroup, Schedule } from "../checks/types.js";
import { checkNonNegative } from "../checks/values.js";
import { formatsOf } from "../kernels/table.js";
import type { GroupSpec } from "../memory/params.js";
import { type Moment, momentsOf, type Pointers, type Region } from "../memory/regions.js";
import { Tensor } from "./tensor.js";

/** What tensors lie in. `forget` is called when they have been moved. */
interface Space {
  readonly memory: WebAssembly.Memory;
  forget?(): void;
}

/** Tensors that share hyper-parameters. */
export class Group {
  readonly hyper: Hyper;
  readonly tensors: readonly Tensor[];
  readonly live: LiveGroup;
  /** What each of its tensors has. */
  readonly regions: readonly Region[];
  /** Those of them that are the optimizer's state. */
  readonly moments: readonly Moment[];
  /** What is added to the number of a kernel for them, and the index in `FORMATS` of the copies; both 0 where all is float32. Every step asks for them. */
  readonly formats: number;
  readonly copies: number;
  /** Of the step that is under way. Plain fields, because they are written in every step. */
  nextLr = 0;
  nextWeightDecay = 0;
  /** What was last used, or loaded; NaN before the first step. */
  lastLr = Number.NaN;
  lastWeightDecay = Number.NaN;
  readonly #space: Space;

  /**
   * @param coupled whether its weight decay is added to the gradient
   * @param guard throws while hyper-parameters must not change
   */
  constructor(
    spec: GroupSpec,
    readonly coupled: boolean,
    space: Space,
    pointers: readonly Pointers[],
    guard: () => void,
  ) {
    this.#space = space;
    this.hyper = { ...spec.hyper };
    this.regions = spec.regions;
    this.moments = momentsOf(this.hyper);
    this.formats = formatsOf(this.hyper);
    this.copies = FORMATS.indexOf(this.hyper.copies ?? "float32");
    const tensors: Tensor[] = [];
    spec.params.forEach((param, i) => {
      tensors.push(new Tensor(space.memory, this.regions, param, pointers[i]!, tensors[i - 1]));
    });
    this.tensors = tensors;
    const names = tensors.map(({ name }) => name);
    this.live = liveView(this.hyper, names, guard);
  }

  /** The group as it is now, in the form in which one is asked for. */
  get spec(): GroupSpec {
    const params = this.tensors.map(({ name, shape, rows, length, at }) => ({
      name,
      shape,
      rows,
      length,
      data: undefined,
      pointers: at,
    }));
    return { hyper: this.hyper, regions: this.regions, params };
  }

  /** Zeroes the regions that the optimizer owns. */
  clear(): void {
    for (const { name, owner } of this.regions) {
      if (owner === "optimizer") for (const tensor of this.tensors) tensor.array(name)!.fill(0);
    }
  }

  /**
   * Takes over where tensors lie that the host has moved within its memory: `places[i]` is tensor i's new place, undefined for
   * one that has not moved. Not checked: the host guarantees that regions are aligned and in range, and that none that is written
   * overlaps another.
   */
  relocate(places: readonly (Pointers | undefined)[]): void {
    this.tensors.forEach((tensor, i) => {
      tensor.place(places[i] ?? tensor.at, this.tensors[i - 1]);
    });
    this.#space.forget?.();
  }

  /** What a state dict has: with a schedule, the value last used. */
  current(key: Scheduled): number {
    const value = this.hyper[key];
    const last = key === "lr" ? this.lastLr : this.lastWeightDecay;
    return Number.isNaN(last) || typeof value === "number"
      ? valueAt(value, key, Math.max(1, this.largestStep()))
      : last;
  }

  largestStep(): number {
    let largest = 0;
    for (const { step } of this.tensors) if (step > largest) largest = step;
    return largest;
  }
}

/** What may follow a schedule. */
type Scheduled = "lr" | "weightDecay";

/** The value at step t: the number, or the schedule's, checked. */
export function valueAt(value: number | Schedule, key: Scheduled, step: number): number {
  return typeof value === "number" ? value : checkNonNegative(`${key}(${step})`, value(step));
}

/**
 * Accessors over a group's hyper-parameters, enumerable like the plain properties they stand for. Not over the group itself: whoever
 * keeps the view keeps no memory.
 */
function liveView(hyper: Hyper, names: readonly string[], guard: () => void): LiveGroup {
  const view = { params: Object.freeze(names) };
  for (const key of GROUP_OPTIONS) {
    const accessors = bare({
      enumerable: true,
      get: () => hyper[key],
      set(value: unknown) {
        guard();
        const fixed = FIXED_KEYS.includes(key);
        if (fixed && value === hyper[key]) return;
        const checked = CHECKS[key](key, value);
        if (fixed) fail(Error, "ERR_FIXED_OPTION", key, `${hyper[key]}, fixed when the group was made`, String(value));
        Object.assign(hyper, { [key]: checked });
      },
    });
    Object.defineProperty(view, key, accessors);
  }
  return Object.freeze(view) as LiveGroup;
}

import { bare } from "../checks/bare.js";
import { fail } from "../checks/errors.js";
import { ADAM_KEYS, CHECKS, checkNonNegative, type Hyper } from "../checks/options.js";
import type { LiveGroup } from "../checks/types.js";
import { padded } from "../memory/arena.js";
import { type GroupSpec, type ParamSpec, type Pointers, REGIONS, regionCount } from "../memory/params.js";

/** A parameter in linear memory, with its own step count. */
export class Tensor {
  step = 0;
  readonly name: string;
  readonly shape: readonly number[];
  readonly length: number;
  /** Elements from its start to the next tensor's: the length, and in the arena the padding. */
  readonly span: number;
  /** Where its regions begin; changed by `place` alone. */
  at!: Pointers;
  /** Whether all of them begin where the previous tensor's spans end, so that one kernel call can do both. */
  joins!: boolean;
  #views!: { -readonly [R in keyof Pointers]?: Float32Array };

  constructor(
    readonly memory: WebAssembly.Memory,
    spec: ParamSpec,
    at: Pointers,
    previous: Tensor | undefined,
  ) {
    this.name = spec.name;
    this.shape = spec.shape;
    this.length = spec.length;
    this.span = spec.pointers === undefined ? padded(spec.length) : spec.length;
    this.place(at, previous);
  }

  /** Lets it lie elsewhere. Its successor has to be placed again after it. */
  place(at: Pointers, previous: Tensor | undefined): void {
    this.at = at;
    this.joins =
      previous !== undefined && REGIONS.every((region) => at[region] === follows(previous.at[region], previous.span));
    this.#views = {};
  }

  /** A live view of one of its regions: the same one until memory has grown. */
  view(region: keyof Pointers): Float32Array {
    const known = this.#views[region];
    if (known?.buffer === this.memory.buffer) return known;
    const view = new Float32Array(this.memory.buffer, this.at[region], this.length);
    this.#views[region] = view;
    return view;
  }
}

function follows(offset: number, span: number): number {
  return offset < 0 ? offset : offset + 4 * span;
}

/** Tensors that share hyper-parameters. */
export class Group {
  readonly hyper: Hyper;
  readonly tensors: readonly Tensor[];
  readonly live: LiveGroup;
  /** The regions that hold its state. */
  readonly moments: readonly (keyof Pointers)[];
  /** The rate last used, or loaded; undefined before the first step. */
  lastLr: number | undefined;

  /** @param guard throws while hyper-parameters must not change */
  constructor(spec: GroupSpec, memory: WebAssembly.Memory, pointers: readonly Pointers[], guard: () => void) {
    this.hyper = { ...spec.hyper };
    const tensors: Tensor[] = [];
    spec.params.forEach((param, i) => {
      tensors.push(new Tensor(memory, param, pointers[i]!, tensors[i - 1]));
    });
    this.tensors = tensors;
    this.moments = REGIONS.slice(2, regionCount(this.hyper));
    this.live = liveView(this, guard);
  }

  /** What it would be asked for as it is now; without values. */
  get spec(): GroupSpec {
    const params = this.tensors.map(({ name, shape, length, at }) => ({
      name,
      shape,
      length,
      data: undefined,
      pointers: at,
    }));
    return { hyper: this.hyper, params };
  }

  /**
   * Follows tensors that the host has moved within its memory: places[i], where there is one, is where tensor i lies from now
   * on. The host vouches for them: 4-byte aligned, in range, and no region that is written inside another.
   */
  relocate(places: readonly (Pointers | undefined)[]): void {
    this.tensors.forEach((tensor, i) => {
      tensor.place(places[i] ?? tensor.at, this.tensors[i - 1]);
    });
  }

  /** The learning rate at step t of the group: the number, or the schedule's value, checked. */
  lrAt(step: number): number {
    const { lr } = this.hyper;
    return typeof lr === "number" ? lr : checkNonNegative(`lr(${step})`, lr(step));
  }

  /** What a state dict says the rate is: with a schedule, the value last used. */
  currentLr(): number {
    return this.lastLr !== undefined && typeof this.hyper.lr === "function"
      ? this.lastLr
      : this.lrAt(Math.max(1, this.largestStep()));
  }

  largestStep(): number {
    let largest = 0;
    for (const { step } of this.tensors) if (step > largest) largest = step;
    return largest;
  }
}

/** Accessors over the group's hyper-parameters, enumerable like the plain properties they stand for. */
function liveView(group: Group, guard: () => void): LiveGroup {
  const view = { params: Object.freeze(group.tensors.map(({ name }) => name)) };
  for (const key of ADAM_KEYS) {
    const accessors = bare({
      enumerable: true,
      get: () => group.hyper[key],
      set(value: unknown) {
        guard();
        const checked = CHECKS[key](key, value);
        // Its memory is laid out when the group is made.
        if (key === "amsgrad" && checked !== group.hyper.amsgrad) {
          fail(Error, "ERR_FIXED_OPTION", key, `${group.hyper.amsgrad}, fixed when the group was made`, String(value));
        }
        Object.assign(group.hyper, { [key]: checked });
      },
    });
    Object.defineProperty(view, key, accessors);
  }
  return Object.freeze(view) as LiveGroup;
}

import { padded } from "./arena.js";
import { fail } from "./errors.js";
import { CHECKS, checkNonNegative, type Hyper } from "./options.js";
import { type GroupSpec, type ParamSpec, type Pointers, REGIONS } from "./params.js";
import type { LiveGroup } from "./types.js";

/** A parameter in linear memory, with its own step count. */
export class Tensor {
  step = 0;
  readonly name: string;
  readonly shape: readonly number[];
  readonly length: number;
  /** Elements from its start to the next tensor's: the length, and in the arena the padding. */
  readonly span: number;
  /** Whether all its regions begin where the previous tensor's spans end, so that one kernel call can do both. */
  readonly joins: boolean;
  #param: Float32Array | undefined;
  #grad: Float32Array | undefined;

  constructor(
    readonly memory: WebAssembly.Memory,
    spec: ParamSpec,
    readonly at: Pointers,
    previous: Tensor | undefined,
  ) {
    this.name = spec.name;
    this.shape = spec.shape;
    this.length = spec.length;
    this.span = spec.pointers === undefined ? padded(spec.length) : spec.length;
    this.joins =
      previous !== undefined && REGIONS.every((region) => at[region] === follows(previous.at[region], previous.span));
  }

  get param(): Float32Array {
    if (this.#param?.buffer !== this.memory.buffer) this.#param = this.view(this.at.param);
    return this.#param!;
  }

  get grad(): Float32Array {
    if (this.#grad?.buffer !== this.memory.buffer) this.#grad = this.view(this.at.grad);
    return this.#grad!;
  }

  /** A view of one of its regions, good until memory grows. */
  view(offset: number): Float32Array {
    return new Float32Array(this.memory.buffer, offset, this.length);
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
  /** The rate last used, or loaded; undefined before the first step and after `lr` was assigned. */
  lastLr: number | undefined;

  /** @param guard throws while hyper-parameters must not change */
  constructor(
    readonly spec: GroupSpec,
    memory: WebAssembly.Memory,
    pointers: readonly Pointers[],
    guard: () => void,
  ) {
    this.hyper = { ...spec.hyper };
    const tensors: Tensor[] = [];
    spec.params.forEach((param, i) => {
      tensors.push(new Tensor(memory, param, pointers[i]!, tensors[i - 1]));
    });
    this.tensors = tensors;
    this.moments = REGIONS.slice(2, this.hyper.amsgrad ? 5 : 4);
    this.live = new LiveView(this, guard);
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

class LiveView implements LiveGroup {
  readonly params: readonly string[];
  readonly #group: Group;
  readonly #guard: () => void;

  constructor(group: Group, guard: () => void) {
    this.#group = group;
    this.#guard = guard;
    this.params = Object.freeze(group.tensors.map(({ name }) => name));
  }

  get lr() {
    return this.#group.hyper.lr;
  }
  set lr(value) {
    this.#set("lr", value);
    this.#group.lastLr = undefined;
  }
  get betas() {
    return this.#group.hyper.betas;
  }
  set betas(value) {
    this.#set("betas", value);
  }
  get eps() {
    return this.#group.hyper.eps;
  }
  set eps(value) {
    this.#set("eps", value);
  }
  get weightDecay() {
    return this.#group.hyper.weightDecay;
  }
  set weightDecay(value) {
    this.#set("weightDecay", value);
  }
  get maximize() {
    return this.#group.hyper.maximize;
  }
  set maximize(value) {
    this.#set("maximize", value);
  }
  get biasCorrection() {
    return this.#group.hyper.biasCorrection;
  }
  set biasCorrection(value) {
    this.#set("biasCorrection", value);
  }
  get amsgrad() {
    return this.#group.hyper.amsgrad;
  }
  /** Its memory is laid out when the group is made; assigning says so, rather than that a property has no setter. */
  set amsgrad(value: boolean) {
    this.#guard();
    const fixed = this.#group.hyper.amsgrad;
    if (CHECKS.amsgrad("amsgrad", value) !== fixed) {
      fail(Error, "ERR_FIXED_OPTION", "amsgrad", `${fixed}, fixed when the group was made`, String(value));
    }
  }

  #set<K extends keyof Hyper>(key: K, value: unknown): void {
    this.#guard();
    this.#group.hyper[key] = CHECKS[key](key, value) as Hyper[K];
  }
}

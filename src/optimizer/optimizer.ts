import { ADAM_DEFAULTS, ADAMW_DEFAULTS } from "../checks/defaults.js";
import { fail, failType, show } from "../checks/errors.js";
import { readStep } from "../checks/stepOptions.js";
import type {
  AdamOptions,
  KernelKind,
  LiveGroup,
  ParamGroup,
  Params,
  RuntimeOptions,
  StateDict,
  StepOptions,
  StepResult,
} from "../checks/types.js";
import { VERSION } from "../generated/version.js";
import { Arena } from "../memory/arena.js";
import { checkSources, type GroupSpec, readGroup } from "../memory/params.js";
import type { Pointers } from "../memory/regions.js";
import type { Runner } from "../threads/runner.js";
import { Group } from "./group.js";
import { placeGroup, Setup, type Variant } from "./setup.js";
import { checkState, readState } from "./stateDict.js";
import { normBlocks, Stepper, zeroGrads } from "./step.js";
import type { Tensor } from "./tensor.js";

/** `Symbol.dispose`, also where the host lacks it but the helper of a transpiled `using` looks for it. */
const disposeSymbol: typeof Symbol.dispose = Symbol.dispose ?? Symbol.for("Symbol.dispose");

/**
 * Key of the method by which this package's other entry points reach an optimizer's tensors. Registered, for a program may hold the
 * package twice, as ESM and CommonJS or bundled into two libraries; with the version, for only these two are sure to fit together.
 * @internal
 */
export const EXCLUSIVELY: unique symbol = Symbol.for(`fused-adam ${VERSION} exclusively`);

type Core = Pick<Setup, "hyper" | "arena" | "foreign" | "memory"> & {
  readonly stepper: Stepper;
  readonly runner: Runner;
};
/** Whether an optimizer's state is that of whole steps. */
export interface Wholeness {
  /** @throws Error `ERR_STATE_LOST` if it is not */
  check(): void;
  /** To be called when a state has been taken over. */
  restore(): void;
}

/** Ends the workers of an optimizer that was dropped without being disposed. */
const dropped = new FinalizationRegistry<Runner>((runner) => runner.close());

/** All that `Adam` and `AdamW` share, which is all but their defaults and the place of their decay. */
export abstract class Optimizer {
  /** What the steps run on. */
  readonly kernel: KernelKind;
  readonly #byName = new Map<string, Tensor>();
  /** What steps run on; undefined once disposed. */
  #core: Core | undefined;
  #groups: readonly Group[] = [];
  #names: readonly string[] = [];
  #live: readonly LiveGroup[] = [];
  #threads: number;
  #busy = false;
  /** Busy with a `stepAsync` that waits for workers: the one thing that `dispose` may come between. */
  #isStepping = false;
  /** False after a step lost a worker: parameters and moments are some old, some new. */
  #isWhole = true;
  readonly #wholeness: Wholeness = {
    check: () => {
      if (!this.#isWhole)
        fail(Error, "ERR_STATE_LOST", "optimizer", "a state dict to be loaded", "half a step, a worker lost");
    },
    restore: () => {
      if (!this.#isWhole) this.#alive().runner.restart();
      this.#isWhole = true;
    },
  };

  protected constructor(setup: Setup, runner: Runner) {
    if (!(setup instanceof Setup)) failType("new", "create(params, options) or createSync(params, options)", setup);
    const { hyper, arena, foreign, memory, variant } = setup;
    this.#core = { hyper, arena, foreign, memory, runner, stepper: new Stepper(variant.coupled) };
    this.#add(setup.groups, setup.pointers);
    this.kernel = runner.kernels.kind;
    this.#threads = runner.threads;
    if (this.#threads > 1) dropped.register(this, runner);
  }

  /** How many threads a step may use, the caller's included: 1 from when workers cannot be had any more. */
  get threads(): number {
    return this.#core?.runner.threads ?? this.#threads;
  }

  /** Names of all parameters, in the order they were given. */
  get names(): readonly string[] {
    return this.#names;
  }

  /** The linear memory that everything lies in. */
  get memory(): WebAssembly.Memory {
    return this.#alive().memory;
  }

  /** The groups as they run: assign `lr`, `betas`, `eps`, `weightDecay`, `maximize`, `biasCorrection` between steps. */
  get paramGroups(): readonly LiveGroup[] {
    this.#alive();
    return this.#live;
  }

  /**
   * The values of a parameter: a writable view of linear memory, as long as the parameter, row-major. Always live when it
   * is returned; one that was kept goes stale when `addParamGroup` grows the memory.
   *
   * @throws Error `ERR_UNKNOWN_NAME`, `ERR_DISPOSED`
   */
  param(name: string): Float32Array {
    return this.#tensor(name).view("param");
  }

  /**
   * The gradient of a parameter, which the caller fills before each step: a view as `param` returns it. A step reads it
   * and leaves it as it is, unless `zeroGrad` is asked for.
   *
   * @throws Error `ERR_UNKNOWN_NAME`, `ERR_DISPOSED`
   */
  grad(name: string): Float32Array {
    return this.#tensor(name).view("grad");
  }

  /**
   * Adds parameters, with zero moments and a step count of their own that starts at 0. Hyper-parameters that the group
   * leaves out are those the optimizer was created with. May grow the memory: fetch views anew afterwards.
   *
   * @throws TypeError, RangeError for a group `create` would refuse; nothing is added then
   */
  addParamGroup(group: ParamGroup): void {
    this[EXCLUSIVELY]((groups) => {
      const { arena, foreign, hyper, memory } = this.#alive();
      const spec = ownCopies(readGroup("group", group, hyper, new Set(this.#names)), memory);
      checkSources([spec], foreign !== undefined);
      foreign?.check([spec], () => groups.map((group) => group.spec));
      arena?.reserve(Arena.bytes([spec]));
      this.#add([spec], [placeGroup(spec, arena)]);
    });
  }

  /**
   * Updates every parameter once from its gradient (Kingma & Ba 2015; Loshchilov & Hutter 2019), on all threads where the
   * calling one may block (Node, workers), on the caller alone where it may not (a browser's main thread).
   *
   * @throws TypeError, RangeError for an option or a schedule's value that is not legal; Error `ERR_UNKNOWN_NAME` for a
   * name to skip, `ERR_STEP_LIMIT` past 2^53 - 1 steps. Nothing has changed then. Error `ERR_WORKER` when a worker was lost:
   * no step is counted, but parameters and moments may be half updated, and every step throws `ERR_STATE_LOST` until
   * `loadStateDict`.
   */
  step(options?: StepOptions): StepResult {
    const { stepper, runner } = this.#enter();
    try {
      this.#begin(options);
      while (stepper.next(runner.program)) runner.run();
      this.#isWhole = true;
      return stepper.result;
    } finally {
      this.#busy = false;
    }
  }

  /**
   * As `step`, on the workers, without ever blocking the caller; with one thread, or a model too small to gain, on the
   * caller. Until the promise settles the optimizer is busy. Rejects with what `step` would throw, and with `ERR_DISPOSED`
   * if it is disposed meanwhile.
   */
  async stepAsync(options?: StepOptions): Promise<StepResult> {
    const { stepper, runner } = this.#enter();
    try {
      this.#begin(options);
      while (stepper.next(runner.program)) {
        this.#isStepping = true;
        try {
          await runner.runAsync();
        } finally {
          this.#isStepping = false;
          this.#alive();
        }
      }
      this.#isWhole = true;
      return stepper.result;
    } finally {
      this.#busy = false;
    }
  }

  /** Sets every gradient to zero. */
  zeroGrad(): void {
    this[EXCLUSIVELY](zeroGrads);
  }

  /** Copies of all moments and step counts, and the hyper-parameters: what `loadStateDict` needs to go on bit for bit. */
  stateDict(): StateDict {
    return this[EXCLUSIVELY](readState);
  }

  /**
   * Takes over moments, step counts and hyper-parameters, by name; parameters, gradients and schedules stay. All or
   * nothing: it throws before anything changes.
   *
   * @throws TypeError, RangeError naming what does not fit: an unknown or missing name, a length, a value that is not
   * finite, a negative second moment, other groups, other `amsgrad`
   */
  loadStateDict(state: StateDict): void {
    this[EXCLUSIVELY]((groups, whole) => {
      checkState(groups, state)();
      whole.restore();
    });
  }

  /**
   * Lets go of the memory, or leaves the host's alone, and ends the workers: when it returns, none of them writes any more. A
   * `stepAsync` under way rejects. A second call does nothing, any other call after it throws.
   */
  dispose(): void {
    if (this.#core === undefined) return;
    if (!this.#isStepping) this.#enter();
    this.#core.runner.close();
    this.#threads = this.#core.runner.threads;
    this.#busy = false;
    this.#core = undefined;
    this.#groups = [];
    this.#live = [];
    this.#byName.clear();
  }

  /** `dispose`, for `using`. */
  [disposeSymbol](): void {
    this.dispose();
  }

  /**
   * Runs a change that nothing may come between: options, iterables and schedules are the caller's code. What returns a
   * promise keeps all others out until that settles.
   * @internal
   */
  [EXCLUSIVELY]<T>(change: (groups: readonly Group[], whole: Wholeness) => T): T {
    this.#enter();
    const leave = () => {
      this.#busy = false;
    };
    let result: T;
    try {
      result = change(this.#groups, this.#wholeness);
    } catch (error) {
      leave();
      throw error;
    }
    if (result instanceof Promise) return result.finally(leave) as T;
    leave();
    return result;
  }

  #alive(): Core {
    if (this.#core === undefined) fail(Error, "ERR_DISPOSED", "optimizer", "one that is in use", "a disposed one");
    return this.#core;
  }

  #enter(): Core {
    const core = this.#alive();
    if (this.#busy) fail(Error, "ERR_BUSY", "optimizer", "one that is idle", "one with a call under way");
    this.#busy = true;
    return core;
  }

  /** Checks all there is to check of a step. From then on, until the step is done, the state is not whole. */
  #begin(options: StepOptions | undefined): void {
    const { stepper, runner } = this.#alive();
    const checked = readStep(options);
    if (checked.skip !== undefined) for (const name of checked.skip) this.#tensor(name, "skip");
    if (!this.#isWhole) this.#wholeness.check();
    stepper.begin(this.#groups, checked);
    this.#isWhole = false;
    runner.check();
  }

  #tensor(name: string, label = "name"): Tensor {
    this.#alive();
    const tensor = this.#byName.get(name);
    if (tensor !== undefined) return tensor;
    if (typeof name !== "string") failType(label, "a string", name);
    fail(Error, "ERR_UNKNOWN_NAME", label, "the name of a parameter", show(name));
  }

  #add(specs: readonly GroupSpec[], pointers: readonly Pointers[][]): void {
    const { foreign, memory, runner } = this.#alive();
    const guard = () => {
      this.#enter();
      this.#busy = false;
    };
    const added = specs.map((spec, i) => new Group(spec, foreign ?? { memory }, pointers[i]!, guard));
    const groups = [...this.#groups, ...added];
    runner.reserve(
      sum(groups, ({ tensors }) => tensors.length),
      sum(groups, normBlocks),
    );
    foreign?.take(specs);
    for (const group of added) {
      // The arena's memory is fresh, and touching it would make it resident.
      if (foreign !== undefined) group.clear();
      for (const tensor of group.tensors) this.#byName.set(tensor.name, tensor);
    }
    this.#groups = groups;
    this.#names = Object.freeze([...this.#byName.keys()]);
    this.#live = Object.freeze(this.#groups.map(({ live }) => live));
  }
}

/** Values that lie in the optimizer's own memory are copied before it grows and detaches them. */
function ownCopies(group: GroupSpec, memory: WebAssembly.Memory): GroupSpec {
  const params = group.params.map((param) =>
    param.data?.buffer === memory.buffer ? { ...param, data: param.data.slice() } : param,
  );
  return { ...group, params };
}

function sum(groups: readonly Group[], count: (group: Group) => number): number {
  return groups.reduce((total, group) => total + count(group), 0);
}

const ADAM: Variant = { defaults: ADAM_DEFAULTS, coupled: true };
const ADAMW: Variant = { defaults: ADAMW_DEFAULTS, coupled: false };

/**
 * Adam (Kingma & Ba 2015), with AMSGrad on request. `weightDecay` is coupled: λθ is added to the gradient, and the adaptive
 * step rescales it, as in `torch.optim.Adam`. Default 0. For decay that is the same for every element take `AdamW`.
 */
export class Adam extends Optimizer {
  /**
   * @param params parameters by name, an array of them, or an array of groups with hyper-parameters of their own
   * @throws (rejects with) TypeError, RangeError for what is not legal, naming it; RangeError `ERR_OUT_OF_MEMORY` above
   * 4 GiB; Error `ERR_KERNEL_UNAVAILABLE` for a kernel that the engine cannot run
   */
  static async create(params: Params, options?: AdamOptions & RuntimeOptions): Promise<Adam> {
    const setup = new Setup(ADAM, params, options);
    return new Adam(setup, await setup.runner());
  }

  /** As `create`, at once: compiles on the calling thread, which takes some milliseconds the first time. */
  static createSync(params: Params, options?: AdamOptions & RuntimeOptions): Adam {
    const setup = new Setup(ADAM, params, options);
    return new Adam(setup, setup.runnerSync());
  }
}

/**
 * AdamW (Loshchilov & Hutter 2019): `weightDecay` is decoupled, θ ← θ − αλθ, the same for every element, as in
 * `torch.optim.AdamW`. Default 0.01.
 */
export class AdamW extends Optimizer {
  /**
   * @param params parameters by name, an array of them, or an array of groups with hyper-parameters of their own
   * @throws (rejects with) what `Adam.create` does
   * @example
   * import { AdamW } from "fused-adam";
   *
   * const optimizer = await AdamW.create({ w: { shape: [784, 10] }, b: { shape: [10] } }, { lr: 1e-3 });
   * optimizer.grad("w").fill(0.1); // your backward pass
   * optimizer.step({ clipNorm: 1 });
   */
  static async create(params: Params, options?: AdamOptions & RuntimeOptions): Promise<AdamW> {
    const setup = new Setup(ADAMW, params, options);
    return new AdamW(setup, await setup.runner());
  }

  /** As `create`, at once: compiles on the calling thread, which takes some milliseconds the first time. */
  static createSync(params: Params, options?: AdamOptions & RuntimeOptions): AdamW {
    const setup = new Setup(ADAMW, params, options);
    return new AdamW(setup, setup.runnerSync());
  }
}

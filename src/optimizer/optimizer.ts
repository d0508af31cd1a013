import { checkTypedArray } from "../checks/arrays.js";
import type { StepSettings } from "../checks/defaults.js";
import { fail, failType, show, showNames } from "../checks/errors.js";
import type { Disposing, WasmMemory } from "../checks/libraries.js";
import { readStep, readSum } from "../checks/stepOptions.js";
import type {
  AdamOptions,
  KernelKind,
  LiveGroup,
  LoadOptions,
  LoadReport,
  ParamGroup,
  Params,
  RuntimeOptions,
  StateDict,
  StepOptions,
  StepResult,
  SumOptions,
} from "../checks/types.js";
import { VERSION } from "../generated/version.js";
import { areHalf, isHalf, type Kernels } from "../kernels/table.js";
import { Arena } from "../memory/arena.js";
import { checkSources, type GroupSpec, namesBeside, readGroup } from "../memory/params.js";
import type { Pointers, RegionName } from "../memory/regions.js";
import type { Runner } from "../threads/runner.js";
import { Group } from "./group.js";
import { type AtRest, checkWhole, Lifecycle } from "./lifecycle.js";
import { failJson, trapHyper } from "./misuse.js";
import { halfKernels, placeGroup, Setup } from "./setup.js";
import { checkState, readLoad, readState } from "./stateDict.js";
import {
  commit,
  factorOf,
  largestStep,
  needsSquares,
  normBlocks,
  normOf,
  plan,
  type Step,
  skip,
  writeSquares,
  writeUpdate,
  zeroGrads,
} from "./step.js";
import type { Tensor } from "./tensor.js";
import { ADAM, ADAMW } from "./variant.js";

/** `Symbol.dispose`; where the host has none, the symbol that a compiled `using` statement looks for. */
const disposeSymbol: typeof Symbol.dispose = Symbol.dispose ?? Symbol.for("Symbol.dispose");

/**
 * Key of the method by which this package's other entry points reach an optimizer's tensors. It is in the global registry of symbols,
 * because a program may contain the package twice, as ESM and CommonJS or bundled into two libraries. It names the version, because
 * only copies of one version are sure to fit together.
 * @internal
 */
export const EXCLUSIVELY: unique symbol = Symbol.for(`fused-adam ${VERSION} exclusively`);

/** What an optimizer works with until it is disposed. */
type Resources = Pick<Setup, "hyper" | "runtime" | "arena" | "foreign" | "memory" | "variant"> & {
  readonly runner: Runner;
};

/** Whether an optimizer's state is whole: not lost in a step that was interrupted. */
export interface Wholeness {
  /** @throws Error `ERR_STATE_LOST` if it is not */
  check(): void;
  /** To be called after a state has been loaded. */
  restore(): void;
}

/** Ends the workers of an optimizer that was garbage-collected without being disposed. Not every host tells of that. */
const dropped =
  typeof FinalizationRegistry === "function" ? new FinalizationRegistry<Runner>((runner) => runner.close()) : undefined;

const refuseJson = () => failJson("stateDict() or encodeCheckpoint(optimizer)");

// A member that is there only where a library knows its name cannot be declared in the class.
export interface Optimizer extends Disposing {}

/** What `Adam` and `AdamW` share: everything but their defaults and the weight decay. */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the class has what the interface adds
export abstract class Optimizer {
  /** @internal */
  readonly toJSON = refuseJson;
  readonly #life = new Lifecycle();
  /** Refuses assignments to hyper-parameters during a call. Made here, where its closure holds nothing but the optimizer. */
  readonly #guard = () => void this.#life.checkAtRest();
  readonly #byName = new Map<string, Tensor>();
  /** Undefined once disposed. */
  #resources: Resources | undefined;
  #groups: Group[] = [];
  #skippedInARow = 0;
  /** What a step needs room for: calls, partial sums, elements. */
  readonly #room = { calls: 0, sums: 0, elements: 0 };
  /** Undefined until they are asked for after a group was added: to add thousands, one by one, takes no time that grows with them. */
  #names: readonly string[] | undefined;
  #live: readonly LiveGroup[] | undefined;
  readonly #kernel: KernelKind;
  #threads: number;

  /** Not to be called: `create` and `createSync` make optimizers. */
  protected constructor(...parts: never);
  /** @internal */
  protected constructor(setup: Setup, runner: Runner);
  protected constructor(setup: Setup, runner: Runner) {
    if (!(setup instanceof Setup)) failType("new", "create(params, options) or createSync(params, options)", setup);
    const { hyper, runtime, arena, foreign, memory, variant } = setup;
    this.#resources = { hyper, runtime, arena, foreign, memory, variant, runner };
    this.#add(setup.groups, setup.pointers);
    this.#kernel = runner.kernels.kind;
    this.#threads = runner.threads;
    if (this.#threads > 1) dropped?.register(this, runner, this);
  }

  /** What the steps run on. */
  get kernel(): KernelKind {
    return this.#kernel;
  }

  /** How many threads a step may use, the caller's included: 1 once workers could not be started. */
  get threads(): number {
    return this.#resources?.runner.threads ?? this.#threads;
  }

  /** Names of all parameters, in the order they were given. */
  get names(): readonly string[] {
    this.#names ??= Object.freeze([...this.#byName.keys()]);
    return this.#names;
  }

  /** The linear memory that everything lies in. */
  get memory(): WasmMemory {
    return this.#alive().memory;
  }

  /** The largest step count of any parameter: the number of steps so far, unless every parameter was skipped in one. */
  get steps(): number {
    this.#alive();
    return largestStep(this.#groups);
  }

  /** The groups as they run: assign `lr`, `betas`, `eps`, `weightDecay`, `maximize`, `biasCorrection` between steps. */
  get paramGroups(): readonly LiveGroup[] {
    this.#alive();
    this.#live ??= Object.freeze(this.#groups.map(({ live }) => live));
    return this.#live;
  }

  /**
   * The values of a parameter: a writable view of linear memory, as long as the parameter, row-major. After `addParamGroup` has
   * grown the memory, a view that was kept has the length 0 and drops what is written to it, unless the memory is shared: get it
   * again.
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
   * @throws TypeError `ERR_DTYPE` for gradients of 16 bits; Error `ERR_UNKNOWN_NAME`, `ERR_DISPOSED`
   */
  grad(name: string): Float32Array {
    return this.#array(name, "grad", Float32Array, "gradBits");
  }

  /**
   * As `grad`, where gradients are float16 or bfloat16: their bits.
   *
   * @throws TypeError `ERR_DTYPE` for float32 gradients; Error `ERR_UNKNOWN_NAME`, `ERR_DISPOSED`
   */
  gradBits(name: string): Uint16Array {
    return this.#array(name, "grad", Uint16Array, "grad");
  }

  /**
   * The bits of a parameter's copy, float16 or bfloat16: a view as `param` returns it. Written when the parameter is made, by every step that
   * moves it, and when a state is loaded. What the caller writes to `param(name)` is in it from the next step on.
   *
   * @throws TypeError `ERR_DTYPE` where there are no copies; Error `ERR_UNKNOWN_NAME`, `ERR_DISPOSED`
   */
  copyBits(name: string): Uint16Array {
    return this.#array(name, "copy", Uint16Array, 'the option "copies"');
  }

  /**
   * Adds parameters, with zero moments and a step count of their own that starts at 0. Hyper-parameters that the group
   * leaves out are those the optimizer was created with. May grow the memory: get views again afterwards.
   *
   * @throws TypeError, RangeError for a group `create` would refuse; nothing is added then
   */
  addParamGroup(group: ParamGroup): void {
    this[EXCLUSIVELY]((groups) => {
      const { arena, foreign, hyper, memory, runner, runtime } = this.#resources!;
      const spec = ownCopies(readGroup("group", group, hyper, namesBeside(this.#byName)), memory);
      checkSources([spec], foreign !== undefined);
      foreign?.check([spec], () => groups.map((group) => group.spec));
      const more = isHalf(spec.hyper) && !areHalf(runner.kernels) ? halfKernels(runtime, memory) : undefined;
      arena?.reserve(Arena.bytes([spec]));
      if (more !== undefined) runner.use(more);
      this.#add([spec], [placeGroup(spec, arena)]);
    });
  }

  /**
   * Copies a gradient in: as `grad(name).set(values)` or `gradBits(name).set(values)`, checked.
   *
   * @param values as many as the parameter has elements; the bits of each where gradients have 16
   * @throws TypeError for another type, or a detached buffer; RangeError `ERR_SHAPE_MISMATCH`; Error `ERR_UNKNOWN_NAME`,
   * `ERR_BUSY`, `ERR_DISPOSED`
   */
  setGrad(name: string, values: Float32Array | Uint16Array): void {
    this[EXCLUSIVELY](() => {
      const tensor = this.#tensor(name);
      const grad = tensor.array("grad")!;
      const View = grad instanceof Float32Array ? Float32Array : Uint16Array;
      const checked = checkTypedArray<typeof grad>(View, "values", values, `a ${View.name}`);
      if (checked.length !== tensor.length) {
        const expected = `${tensor.length} values for ${show(name)}`;
        fail(RangeError, "ERR_SHAPE_MISMATCH", "values", expected, String(checked.length));
      }
      grad.set(checked);
    });
  }

  /**
   * Updates every parameter once from its gradient (Kingma & Ba 2015; Loshchilov & Hutter 2019), on all threads where the
   * calling one may block (Node, workers), on the caller alone where it may not (a browser's main thread).
   *
   * @throws TypeError, RangeError for an option or a schedule's value that is not legal; Error `ERR_UNKNOWN_NAME` for a
   * name to skip, `ERR_STEP_LIMIT` past 2^53 - 1 steps, `ERR_SKIPPED` for one more skipped step in a row than `maxSkipped`. Nothing has changed
   * then. Error `ERR_WORKER` when a worker was lost:
   * no step is counted. If it was lost in the middle of the update, parameters and moments are half updated, and every step
   * and `stateDict` throws `ERR_STATE_LOST` until a state is loaded; otherwise nothing has changed
   */
  step(options?: StepOptions): StepResult {
    let state = this.#life.enter();
    try {
      const { runner } = this.#resources!;
      const step = this.#begin(state, options);
      if (needsSquares(step.settings)) {
        writeSquares(runner.write(), step.groups, step.settings);
        runner.run();
      }
      const norm = normOf(step.settings, runner.program);
      if (norm !== undefined && !Number.isFinite(norm)) return this.#end(step, norm, true);
      writeUpdate(runner.write(), step, factorOf(step.settings, norm));
      state = "lost";
      runner.run();
      state = "idle";
      return this.#end(step, norm, false);
    } finally {
      this.#life.leave(state);
    }
  }

  /**
   * As `step`, on the workers, without blocking the caller; with one thread, or a model too small to gain, on the caller. Until
   * the promise settles the optimizer is busy. Rejects with what `step` would throw, and with `ERR_DISPOSED`
   * if it is disposed meanwhile.
   */
  async stepAsync(options?: StepOptions): Promise<StepResult> {
    let state = this.#life.enter();
    try {
      const { runner } = this.#resources!;
      const step = this.#begin(state, options);
      if (needsSquares(step.settings)) {
        await this.#life.wait(runner.ready());
        writeSquares(runner.write(), step.groups, step.settings);
        await this.#life.wait(runner.runAsync());
      }
      const norm = normOf(step.settings, runner.program);
      if (norm !== undefined && !Number.isFinite(norm)) return this.#end(step, norm, true);
      await this.#life.wait(runner.ready());
      writeUpdate(runner.write(), step, factorOf(step.settings, norm));
      state = "lost";
      await this.#life.wait(runner.runAsync());
      state = "idle";
      return this.#end(step, norm, false);
    } finally {
      this.#life.leave(state);
    }
  }

  /**
   * The sum of the squares of all unscaled gradients, in float64: the square of the norm that `clipNorm` compares. Optimizers that
   * each hold a part of a model add up theirs and pass the root of the total to `step` as `gradNorm`. On the threads that
   * `step` uses.
   *
   * @throws TypeError, RangeError for an option that is not legal; Error `ERR_UNKNOWN_NAME` for a name to skip,
   * `ERR_STATE_LOST`, `ERR_BUSY`, `ERR_DISPOSED`
   */
  sumOfSquares(options?: SumOptions): number {
    return this[EXCLUSIVELY]((groups, whole) => {
      const settings = readSum(options);
      this.#checkSkip(settings);
      whole.check();
      const { runner } = this.#resources!;
      runner.begin();
      writeSquares(runner.write(), groups, settings);
      runner.run();
      // One after the other: the square of the scale may be too large for a float64, or too small.
      return runner.program.total() / settings.gradScale / settings.gradScale;
    });
  }

  /** Sets every gradient to zero. */
  zeroGrad(): void {
    this[EXCLUSIVELY](zeroGrads);
  }

  /**
   * Copies of all moments and step counts, and the hyper-parameters: what `loadStateDict` needs to go on bit for bit.
   *
   * @throws Error `ERR_STATE_LOST` after a step that was interrupted in its update, `ERR_BUSY`, `ERR_DISPOSED`
   */
  stateDict(): StateDict {
    return this[EXCLUSIVELY]((groups, whole) => {
      whole.check();
      return readState(groups);
    });
  }

  /**
   * Takes over moments, step counts and hyper-parameters, by name; parameters, gradients and schedules stay. All or
   * nothing: it throws before anything changes. `lr`, `weightDecay` and the others become the state's, unless `keepOptions` is asked for.
   *
   * @throws TypeError, RangeError naming what does not fit: an unknown or missing name, a length, a value that is not
   * finite, a negative second moment, other groups, other `amsgrad`, the other optimizer's weight decay
   */
  loadStateDict(state: StateDict, options?: LoadOptions): LoadReport {
    return this[EXCLUSIVELY]((groups, whole) => {
      const { report, apply } = checkState(groups, state, readLoad(options));
      apply();
      whole.restore();
      return report;
    });
  }

  /**
   * Lets go of the memory, or leaves the host's alone, and ends the workers: when it returns, none of them writes any more. A
   * `stepAsync` under way rejects. A second call does nothing, any other call after it throws.
   */
  dispose(): void {
    if (!this.#life.dispose()) return;
    const { runner } = this.#resources!;
    runner.close();
    dropped?.unregister(this);
    this.#threads = runner.threads;
    // So that whoever keeps the optimizer does not keep the memory.
    this.#resources = undefined;
    this.#groups = [];
    this.#live = undefined;
    // Names are still told.
    this.#names = this.names;
    this.#byName.clear();
  }

  /**
   * `dispose`, for `using`.
   * @internal
   */
  [disposeSymbol](): void {
    this.dispose();
  }

  /**
   * Runs a call during which every other is refused. Code of the user's may run in it (a getter, an iterator, a schedule) and try
   * one. If the call returns a promise, it lasts until that settles.
   * @internal
   */
  [EXCLUSIVELY]<T>(run: (groups: readonly Group[], whole: Wholeness) => T): T {
    let state = this.#life.enter();
    const leave = () => this.#life.leave(state);
    const whole = {
      check: () => checkWhole(state),
      restore: () => {
        state = "idle";
        this.#skippedInARow = 0;
        copyParams(this.#resources!.runner.kernels, this.#groups);
      },
    };
    let result: T;
    try {
      result = run(this.#groups, whole);
    } catch (error) {
      leave();
      throw error;
    }
    if (isPromise(result)) return result.finally(leave) as T;
    leave();
    return result;
  }

  /** Checks all there is to check of a step. */
  #begin(state: AtRest, options: StepOptions | undefined): Step {
    const settings = readStep(options);
    this.#checkSkip(settings);
    checkWhole(state);
    this.#resources!.runner.begin();
    return plan(this.#groups, settings);
  }

  #end(step: Step, norm: number | undefined, isSkipped: boolean): StepResult {
    const { maxSkipped } = step.settings;
    const skippedInARow = isSkipped ? this.#skippedInARow + 1 : 0;
    if (maxSkipped !== undefined && skippedInARow > maxSkipped) {
      fail(
        Error,
        "ERR_SKIPPED",
        "maxSkipped",
        `at most ${maxSkipped} steps skipped in a row`,
        `one more: norm ${norm}`,
      );
    }
    this.#skippedInARow = skippedInARow;
    const result = isSkipped ? skip(step, norm!) : commit(step, norm);
    return maxSkipped === undefined ? result : { ...result, skippedInARow };
  }

  #checkSkip({ skip }: StepSettings): void {
    if (skip !== undefined) for (const name of skip) this.#tensor(name, "skip");
  }

  #alive(): Resources {
    this.#life.checkAlive();
    return this.#resources!;
  }

  /** @param instead what to use where the region is no such array */
  #array<T>(name: string, region: RegionName, View: { new (length: 0): T; readonly name: string }, instead: string): T {
    const array = this.#tensor(name).array(region);
    if (!(array instanceof View)) fail(TypeError, "ERR_DTYPE", name, `a ${View.name}`, `another type: use ${instead}`);
    return array;
  }

  #tensor(name: string, label = "name"): Tensor {
    this.#alive();
    const tensor = this.#byName.get(name);
    if (tensor !== undefined) return tensor;
    if (typeof name !== "string") failType(label, "a string", name);
    fail(Error, "ERR_UNKNOWN_NAME", label, `the name of a parameter: ${showNames(this.names)}`, show(name));
  }

  #add(specs: readonly GroupSpec[], pointers: readonly Pointers[][]): void {
    const { foreign, memory, runner, variant } = this.#resources!;
    const space = foreign ?? { memory };
    const added = specs.map((spec, i) => new Group(spec, variant.coupled, space, pointers[i]!, this.#guard));
    const room = { ...this.#room };
    for (const { length } of added.flatMap(({ tensors }) => tensors)) {
      room.calls += 1;
      room.sums += normBlocks(length);
      room.elements += length;
    }
    runner.reserve(room.calls, room.sums, room.elements);
    Object.assign(this.#room, room);
    foreign?.take(specs);
    for (const group of added) {
      // The arena's memory is fresh, and touching it would make it resident.
      if (foreign !== undefined) group.clear();
      copyParams(runner.kernels, [group]);
      for (const tensor of group.tensors) this.#byName.set(tensor.name, tensor);
      this.#groups.push(group);
    }
    this.#names = undefined;
    this.#live = undefined;
  }
}

trapHyper(Optimizer.prototype, (key) => `paramGroups[0].${key} to be assigned`);
// `grad.w` looks like a gradient and would be a property of the method.
for (const method of [Optimizer.prototype.param, Optimizer.prototype.grad]) Object.freeze(method);

/** Writes the copies of parameters that have some. */
function copyParams(kernels: Kernels, groups: readonly Group[]): void {
  for (const { copies, tensors } of groups) {
    if (copies > 0) for (const { at, length } of tensors) kernels.copy[copies]!(at.param, at.copy, length);
  }
}

/** Copies values that lie in the optimizer's own memory, before that grows and detaches them. */
function ownCopies(group: GroupSpec, memory: WebAssembly.Memory): GroupSpec {
  const params = group.params.map((param) =>
    param.data?.buffer === memory.buffer ? { ...param, data: param.data.slice() } : param,
  );
  return { ...group, params };
}

/** Not by `instanceof`, which a promise of another realm, or of a library that replaced the global `Promise`, does not pass. */
function isPromise(value: unknown): value is Promise<unknown> {
  return typeof (value as Promise<unknown> | undefined)?.finally === "function";
}

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
   * const optimizer = await AdamW.create(
   *   { w: { shape: [784, 10] }, b: { shape: [10] } },
   *   { lr: 1e-3 },
   * );
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

import type { Hyper, Runtime } from "../checks/defaults.js";
import { readHyper } from "../checks/hyper.js";
import { checkOptions, readRuntime } from "../checks/runtime.js";
import { checkModule, type GivenModule } from "../kernels/given.js";
import { isHalf, type Kernels } from "../kernels/table.js";
import { checkLoaded, compile, compileSync, kernelsOver, loadFor, type Module, nameOf } from "../kernels/wasm.js";
import { Arena } from "../memory/arena.js";
import { Foreign } from "../memory/foreign.js";
import { checkSources, type GroupSpec, readGroups } from "../memory/params.js";
import type { Pointers } from "../memory/regions.js";
import { isShared } from "../memory/shared.js";
import { chooseThreads, SMALL } from "../threads/choose.js";
import { loadPools } from "../threads/pools.js";
import { Runner } from "../threads/runner.js";
import type { Variant } from "./variant.js";

/**
 * An optimizer before it has kernels and threads. Its options and parameters are checked, laid out and copied in the call that was
 * given them. So it does not matter what the caller does to its arrays while a module compiles.
 */
export class Setup {
  readonly hyper: Readonly<Hyper>;
  readonly runtime: Readonly<Runtime>;
  readonly groups: readonly GroupSpec[];
  readonly pointers: readonly Pointers[][];
  readonly memory: WebAssembly.Memory;
  /** Either this or `foreign`. */
  readonly arena: Arena | undefined;
  readonly foreign: Foreign | undefined;
  readonly threads: number;
  /** Whether any group needs kernels for formats of 16 bits. */
  readonly #half: boolean;
  /** The module to run on, if the host has compiled one. */
  readonly #given: GivenModule | undefined;

  constructor(
    readonly variant: Variant,
    params: unknown,
    options: unknown,
  ) {
    const checked = checkOptions(options);
    this.runtime = readRuntime(checked);
    this.hyper = readHyper(checked, variant.defaults);
    this.groups = readGroups(params, this.hyper);
    const { kernel, memory, module, threads } = this.runtime;
    checkSources(this.groups, memory !== undefined);
    this.foreign = memory && new Foreign(memory);
    this.foreign?.check(this.groups);
    this.#half = this.groups.some(({ hyper }) => isHalf(hyper));
    const given = module && checkModule(module, kernel, this.#half, memory);
    this.#given = given;
    this.threads = chooseThreads(threads, lengthOf(this.groups), memory, given);
    const shared = given?.shared ?? this.threads > 1;
    this.arena = memory === undefined ? new Arena(Arena.bytes(this.groups), shared) : undefined;
    this.memory = memory ?? this.arena!.memory;
    this.pointers = this.groups.map((group) => placeGroup(group, this.arena));
  }

  async runner(): Promise<Runner> {
    const { kernel } = this.runtime;
    if (this.#half) await loadFor(kernel, true);
    const module = this.#given ?? (await compile(kernel, this.#half, isShared(this.memory)));
    await this.#poolsLoaded();
    return this.#runnerOf(module);
  }

  runnerSync(): Runner {
    if (this.#half) checkLoaded(nameOf(this.runtime.kernel, true));
    return this.#runnerOf(this.#given ?? compileSync(this.runtime.kernel, this.#half, isShared(this.memory)));
  }

  /** If they cannot be loaded, the runner finds the same and says so. */
  async #poolsLoaded(): Promise<void> {
    if (this.threads > 1 && lengthOf(this.groups) >= SMALL) await loadPools().catch(() => {});
  }

  #runnerOf(module: Module | undefined): Runner {
    const kernels = kernelsOver(this.memory, module, this.#half);
    return new Runner(kernels, this.memory, this.threads, this.runtime.threads === "auto");
  }
}

/**
 * Kernels for formats of 16 bits, for an optimizer that has begun without.
 *
 * @throws Error `ERR_KERNEL_UNAVAILABLE` where they are not loaded; RangeError for a module of the host's that does not have them
 */
export function halfKernels({ kernel, module }: Readonly<Runtime>, memory: WebAssembly.Memory): Kernels {
  checkLoaded(nameOf(kernel, true));
  const made = module ? checkModule(module, kernel, true, memory) : compileSync(kernel, true, isShared(memory));
  return kernelsOver(memory, made, true);
}

function lengthOf(groups: readonly GroupSpec[]): number {
  return groups.reduce((sum, { params }) => params.reduce((sum, { length }) => sum + length, sum), 0);
}

/** Where a group's parameters lie: where the host says; in the arena, where they are placed now and their values copied in. */
export function placeGroup(group: GroupSpec, arena: Arena | undefined): Pointers[] {
  if (arena === undefined) return group.params.map(({ pointers }) => pointers!);
  const placed = arena.place(group);
  group.params.forEach(({ data, length }, i) => {
    if (data !== undefined) new Float32Array(arena.memory.buffer, placed[i]!.param, length).set(data);
  });
  return placed;
}

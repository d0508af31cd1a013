import { Arena } from "./arena.js";
import type { Kernels } from "./kernels.js";
import { type Hyper, type Runtime, readHyper, readOptions, readRuntime } from "./options.js";
import { checkPlacement, type GroupSpec, type Pointers, readGroups } from "./params.js";
import { compile, compileSync, isShared, kernelsOver, kindOf } from "./wasm.js";

/** What tells the two optimizers apart: their defaults, and whether the decay goes into the gradient. */
export interface Variant {
  readonly defaults: Readonly<Hyper>;
  readonly coupled: boolean;
}

/**
 * An optimizer before its kernels: options and parameters checked, laid out and copied, all in the call that was given
 * them, so that what the caller does to its arrays while a module compiles changes nothing.
 */
export class Setup {
  readonly hyper: Readonly<Hyper>;
  readonly runtime: Runtime;
  readonly groups: readonly GroupSpec[];
  readonly pointers: readonly Pointers[][];
  readonly memory: WebAssembly.Memory;
  /** Undefined in foreign memory. */
  readonly arena: Arena | undefined;

  constructor(
    readonly variant: Variant,
    params: unknown,
    options: unknown,
  ) {
    const checked = readOptions(options);
    this.runtime = readRuntime(checked);
    this.hyper = readHyper("", checked, variant.defaults);
    this.groups = readGroups(params, this.hyper);
    const foreign = this.runtime.memory;
    checkPlacement(this.groups, [], foreign);
    this.arena = foreign === undefined ? new Arena(Arena.bytes(this.groups)) : undefined;
    this.memory = foreign ?? this.arena!.memory;
    this.pointers = this.groups.map((group) => placeGroup(group, this.arena));
  }

  async kernels(): Promise<Kernels> {
    return this.#over(await compile(this.runtime.kernel, isShared(this.memory)));
  }

  kernelsSync(): Kernels {
    return this.#over(compileSync(this.runtime.kernel, isShared(this.memory)));
  }

  #over(module: WebAssembly.Module | undefined): Kernels {
    return kernelsOver(this.memory, module, kindOf(this.runtime.kernel, module));
  }
}

/** Where a group's parameters lie: where the host says, or newly placed in the arena, their values copied in. */
export function placeGroup(group: GroupSpec, arena: Arena | undefined): Pointers[] {
  if (arena === undefined) return group.params.map(({ pointers }) => pointers!);
  const placed = arena.place(group);
  group.params.forEach(({ data, length }, i) => {
    if (data !== undefined) new Float32Array(arena.memory.buffer, placed[i]!.param, length).set(data);
  });
  return placed;
}

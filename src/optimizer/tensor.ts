import { halves } from "../kernels/modules.js";
import { spanOf } from "../memory/arena.js";
import type { ParamSpec, Rows } from "../memory/params.js";
import type { Pointers, Region, RegionName } from "../memory/regions.js";

/** A parameter in linear memory, with its own step count. */
export class Tensor {
  step = 0;
  readonly name: string;
  /** Of the whole tensor, of which it may be a part: `rows`. */
  readonly shape: readonly number[];
  readonly rows: Rows;
  readonly length: number;
  /** Elements from its start to the next tensor's: the length, and in the arena the padding. */
  readonly span: number;
  /** Where its regions begin. Only `place` changes it. */
  at!: Pointers;
  /** Whether every region begins where the previous tensor's ends, so that one kernel call can update both. */
  joins!: boolean;
  #views!: { [R in RegionName]?: Float32Array | Uint16Array };

  /** @param regions those of its group */
  constructor(
    readonly memory: WebAssembly.Memory,
    readonly regions: readonly Region[],
    spec: ParamSpec,
    at: Pointers,
    previous: Tensor | undefined,
  ) {
    this.name = spec.name;
    this.shape = spec.shape;
    this.rows = spec.rows;
    this.length = spec.length;
    this.span = spec.pointers === undefined ? spanOf(spec.length, regions) : spec.length;
    this.place(at, previous);
  }

  /** `rows`, if they are not all: what its state says. */
  get part(): [number, number] | [] {
    const [first, end] = this.rows;
    return end - first === (this.shape[0] ?? 1) ? [] : [first, end];
  }

  /** Changes where it lies. The tensor after it has to be placed again, because its `joins` depends on this one. */
  place(at: Pointers, previous: Tensor | undefined): void {
    this.at = at;
    this.joins =
      previous !== undefined &&
      this.regions.every(({ name, storage }) => at[name] === previous.at[name] + previous.span * storage.bytes);
    this.#views = {};
  }

  /** A live view of one of its regions: the same object until the memory grows. Undefined where its group has no such region. */
  array(name: RegionName): Float32Array | Uint16Array | undefined {
    const known = this.#views[name];
    if (known?.buffer === this.memory.buffer) return known;
    const region = this.regions.find((region) => region.name === name);
    if (region === undefined) return undefined;
    const view = new region.storage.View(this.memory.buffer, this.at[name], this.length);
    this.#views[name] = view;
    return view;
  }

  /** As `array`, of a region that is float32. */
  view(name: RegionName): Float32Array {
    return this.array(name) as Float32Array;
  }

  /** A copy of a parameter or a moment, as float32. */
  read(name: RegionName): Float32Array {
    const array = this.array(name)!;
    return array instanceof Float32Array ? array.slice() : halves().widened(array);
  }

  /** Changes a parameter or a moment; one that is not float32 is rounded to nearest. */
  write(name: RegionName, values: Float32Array): void {
    const array = this.array(name)!;
    array.set(array instanceof Float32Array ? values : halves().nearest(values));
  }
}

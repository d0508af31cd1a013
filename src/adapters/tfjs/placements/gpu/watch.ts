/** A tensor's data on the webgpu backend, as far as its values on the host go: tfjs caches there what it has read. */
export interface GpuData {
  readonly refCount: number;
  values: Float32Array | null | undefined;
}

/**
 * Keeps the cache of data that is written in place true. A read that was under way when a step wrote leaves the values it was
 * asked for, which are old by the time they come.
 */
class Watch {
  #values: Float32Array | undefined;
  /** Reads that were asked for and have not come, and the version that the first of them is of. */
  #asked = 0;
  #oldest = 0;
  version = 0;

  constructor(data: GpuData) {
    Object.defineProperty(data, "values", {
      configurable: true,
      enumerable: true,
      get: () => {
        if (this.#values === undefined && this.#asked++ === 0) this.#oldest = this.version;
        return this.#values;
      },
      set: (values: Float32Array | null | undefined) => {
        if (values == null) this.#values = undefined;
        else if (this.#asked > 0) {
          this.#asked--;
          if (this.#oldest === this.version) this.#values = values;
        }
      },
    });
  }

  get values(): Float32Array | undefined {
    return this.#values;
  }

  /** The data has other values from now on. */
  forget(): void {
    this.version++;
    this.#values = undefined;
  }

  /** @param version that they are of */
  keep(values: Float32Array, version: number): void {
    if (version === this.version) this.#values = values;
  }
}

const watches = new WeakMap<GpuData, Watch>();

/** The watch over data whose only values are on the device. */
export function watch(data: GpuData): Watch {
  const found = watches.get(data) ?? new Watch(data);
  watches.set(data, found);
  return found;
}

/** What is cached, without being taken for a read. */
export function cached(data: GpuData): Float32Array | null | undefined {
  return watches.has(data) ? watches.get(data)!.values : data.values;
}

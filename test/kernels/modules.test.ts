/** The raw modules: what their bytes promise, and what they do to a memory that belongs to somebody else. */
import { AdamW } from "fused-adam";
import { describe, expect, it } from "vitest";
import { MODULES, SHARED_IMPORT, UNSHARED_IMPORT } from "../../src/generated/modules.js";
import { type Kernels, UPDATE_ROWS, type UpdateKernel } from "../../src/kernels/table.js";
import { type ReferenceOptions, referenceStep } from "../reference.js";
import { expectSameBits } from "../support/bits.js";
import { ordinary } from "../support/data.js";
import { Slab } from "../support/slab.js";
import { enableRelaxed, kernelsOf, MODULE_NAMES, type ModuleName, rawKernels, wasmBytes } from "../support/wasm.js";

const relaxed = enableRelaxed();
const names = MODULE_NAMES.map((name) => [name] as const);
const runnable = MODULE_NAMES.filter((name) => relaxed || !name.startsWith("relaxed"));

/** Section ids of the WebAssembly binary format. */
const TYPE = 1;
const IMPORT = 2;
const FUNCTION = 3;
const EXPORT = 7;
const CODE = 10;
/** All that a kernel module has; so no table (4), memory (5), global (6), start (8), element (9), data (11, 12). */
const ALLOWED = [TYPE, IMPORT, FUNCTION, EXPORT, CODE];

/** Reads the binary format: LEB128 numbers, names, raw bytes. */
class Reader {
  #at = 0;
  constructor(readonly bytes: Uint8Array) {}

  get done(): boolean {
    return this.#at >= this.bytes.length;
  }

  byte(): number {
    const value = this.bytes[this.#at++];
    if (value === undefined) throw new Error("unexpected end of module");
    return value;
  }

  number(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  }

  take(length: number): Uint8Array {
    const bytes = this.bytes.subarray(this.#at, this.#at + length);
    if (bytes.length !== length) throw new Error("unexpected end of module");
    this.#at += length;
    return bytes;
  }

  name(): string {
    return new TextDecoder("utf-8", { fatal: true }).decode(this.take(this.number()));
  }

  vector<T>(read: () => T): T[] {
    return Array.from({ length: this.number() }, read);
  }
}

/** Payloads in order of appearance, by section id. */
function sectionsOf(name: ModuleName): { id: number; payload: Uint8Array }[] {
  const reader = new Reader(wasmBytes(name));
  expect([...reader.take(8)]).toEqual([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
  const sections = [];
  while (!reader.done) sections.push({ id: reader.byte(), payload: reader.take(reader.number()) });
  return sections;
}

function payload(name: ModuleName, id: number): Uint8Array {
  const found = sectionsOf(name).filter((section) => section.id === id);
  expect(found).toHaveLength(1);
  return found[0]!.payload;
}

interface Limits {
  shared: boolean;
  initial: number;
  maximum: number | undefined;
}

/** Fails on any import that is not a 32-bit memory. */
function readImports(name: ModuleName): ({ module: string; name: string } & Limits)[] {
  const reader = new Reader(payload(name, IMPORT));
  return reader.vector(() => {
    const [module, field, kind, flags] = [reader.name(), reader.name(), reader.byte(), reader.byte()];
    expect({ module, field, kind }).toEqual({ module: "env", field: "memory", kind: 2 });
    // Bit 0: a maximum follows. Bit 1: shared. Bit 2 would be 64-bit addresses.
    expect(flags & ~3).toBe(0);
    const initial = reader.number();
    const maximum = flags & 1 ? reader.number() : undefined;
    return { module, name: field, shared: (flags & 2) !== 0, initial, maximum };
  });
}

function contains(bytes: Uint8Array, part: readonly number[]): boolean {
  return Buffer.from(bytes).includes(Buffer.from(part));
}

describe("bytes", () => {
  it.each(names)(
    "%s: no section but types, one import, functions, exports, code: no data, start, global, memory",
    (name) => {
      expect(sectionsOf(name).map(({ id }) => id)).toEqual(ALLOWED);
    },
  );

  it.each(names)("%s imports env.memory and nothing else; any memory of its kind links", (name) => {
    const shared = name.endsWith("-shared");
    expect(readImports(name)).toEqual([
      // A shared memory must declare a maximum; 65536 pages are all there can be.
      { module: "env", name: "memory", shared, initial: 0, maximum: shared ? 65536 : undefined },
    ]);
  });

  it.each(names)("%s exports the update rows, sum_squares and flush: functions only, no memory", (name) => {
    const reader = new Reader(payload(name, EXPORT));
    const exported = reader.vector(() => ({ name: reader.name(), kind: reader.byte(), index: reader.number() }));
    expect(exported.map((entry) => entry.name).sort()).toEqual(
      [...UPDATE_ROWS.map((row) => row.name), "sum_squares", "flush"].sort(),
    );
    expect(exported.filter(({ kind }) => kind !== 0)).toEqual([]);
    expect(new Set(exported.map(({ index }) => index)).size).toBe(exported.length);
  });

  it("a shared module is the unshared one but for its memory: types, functions, exports and code alike", () => {
    for (const kind of ["simd", "relaxed"] as const) {
      for (const id of [TYPE, FUNCTION, EXPORT, CODE]) {
        expect(Buffer.compare(payload(kind, id), payload(`${kind}-shared`, id)), `${kind}, section ${id}`).toBe(0);
      }
    }
  });

  it("relaxed_madd is in the relaxed modules only, f32x4.mul and f32x4.div in all", () => {
    for (const name of MODULE_NAMES) {
      const code = payload(name, CODE);
      expect(contains(code, [0xfd, 0x85, 0x02]), name).toBe(name.startsWith("relaxed"));
      expect(contains(code, [0xfd, 0xe6, 0x01]), name).toBe(true);
      expect(contains(code, [0xfd, 0xe7, 0x01]), name).toBe(true);
    }
  });

  it("what is inlined in the package is what lies in fused-adam/wasm", () => {
    const kinds = MODULE_NAMES.filter((name) => !name.endsWith("-shared")) as (keyof typeof MODULES)[];
    expect(Object.keys(MODULES).sort()).toEqual(kinds.sort());
    for (const kind of kinds) {
      const hex = MODULES[kind];
      expect(hex, kind).toBe(Buffer.from(wasmBytes(kind)).toString("hex"));
      expect(hex.split(UNSHARED_IMPORT), kind).toHaveLength(2);
      const shared = hex.replace(UNSHARED_IMPORT, SHARED_IMPORT);
      expect(shared, kind).toBe(Buffer.from(wasmBytes(`${kind}-shared`)).toString("hex"));
    }
  });
});

function filled(memory: WebAssembly.Memory): Uint8Array {
  const bytes = new Uint8Array(memory.buffer);
  for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 167 + (i >>> 8)) & 0xff;
  return bytes;
}

const OPTIONS: ReferenceOptions = {
  mode: "adamw",
  lr: 0.01,
  betas: [0.9, 0.999],
  eps: 1e-8,
  weightDecay: 0.1,
  amsgrad: true,
  maximize: false,
  biasCorrection: true,
};

/** OPTIONS at step 1, in the order of a kernel's arguments, narrowed as a kernel's caller has to. */
const CONSTANTS = [0.9, 1 - 0.9, 0.999, 1 - 0.999, 0.01 / (1 - 0.9), 1 / Math.sqrt(1 - 0.999), 1e-8, 0.999, 1].map(
  Math.fround,
);

const AMSGRAD_ROW = UPDATE_ROWS.findIndex((row) => row.name === "adamw_amsgrad");

function shifts(k: number): number {
  return (5 * k + 1) % 16;
}

describe("a foreign memory filled with a pattern", () => {
  const memories: Record<string, (shared: boolean) => WebAssembly.Memory | undefined> = {
    "1 page": (shared) => (shared ? undefined : new WebAssembly.Memory({ initial: 1 })),
    "1 page, at most 9": (shared) => new WebAssembly.Memory({ initial: 1, maximum: 9, shared }),
    "3 pages, at most 65536": (shared) => new WebAssembly.Memory({ initial: 3, maximum: 65536, shared }),
  };
  const cases = runnable.flatMap((name) =>
    Object.entries(memories).flatMap(([size, make]) =>
      make(name.endsWith("-shared")) === undefined ? [] : [[name, size, make] as const],
    ),
  );

  it.each(cases)("%s, %s: instantiation changes no byte, even twice", (name, _, make) => {
    const memory = make(name.endsWith("-shared"))!;
    const bytes = filled(memory);
    const before = bytes.slice();
    rawKernels(name, memory);
    rawKernels(name, memory);
    expect(memory.buffer.byteLength).toBe(before.length);
    expect(Buffer.compare(bytes, before)).toBe(0);
  });

  it.each(cases)("%s, %s: a step changes the bytes it was given and no other", (name, _, make) => {
    const memory = make(name.endsWith("-shared"))!;
    const slab = new Slab(memory);
    const kernels = rawKernels(name, memory);
    const length = 37;
    const regions = ["param", "grad", "expAvg", "expAvgSq", "maxExpAvgSq"].map((region, k) =>
      slab.place(region, k < 2 ? ordinary(length, k) : new Float32Array(length), shifts(k)),
    );
    const [param, grad, expAvg, expAvgSq, maxExpAvgSq] = regions.map(({ expected }) => expected);
    referenceStep(
      { param: param!, grad: grad!, expAvg: expAvg!, expAvgSq: expAvgSq!, maxExpAvgSq: maxExpAvgSq!, step: 0 },
      OPTIONS,
    );
    const addresses = regions.map(({ address }) => address);
    kernels.update[AMSGRAD_ROW]!(...([...addresses, length, ...CONSTANTS] as Parameters<UpdateKernel>));
    if (name.startsWith("relaxed")) for (const region of regions) region.expected.set(region.actual);
    slab.expectAsImagined(name, []);
    expect(kernels.sumSquares(addresses[1]!, length)).toBeGreaterThan(0);
    kernels.flush(addresses[2]!, length);
    slab.expectAsImagined(name, []);
  });

  it("is refused if it is shared where the module's is not, or the other way round", () => {
    const shared = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
    expect(() => rawKernels("simd", shared)).toThrow(WebAssembly.LinkError);
    const unshared = new WebAssembly.Memory({ initial: 1, maximum: 1 });
    expect(() => rawKernels("simd-shared", unshared)).toThrow(WebAssembly.LinkError);
  });

  it("shared: the package steps over it, with the bits of an unshared one", () => {
    const run = (memory: WebAssembly.Memory) => {
      const [param, grad, expAvg, expAvgSq] = [1028, 2052, 3076, 4100];
      new Float32Array(memory.buffer, param, 100).set(ordinary(100, 1));
      new Float32Array(memory.buffer, grad, 100).set(ordinary(100, 2));
      const optimizer = AdamW.createSync({ w: { length: 100, param, grad, expAvg, expAvgSq } }, { memory });
      expect(optimizer.kernel).toBe("simd");
      for (let i = 0; i < 3; i++) optimizer.step({ clipNorm: 1 });
      return new Float32Array(memory.buffer, 0, 2000).slice();
    };
    const shared = run(new WebAssembly.Memory({ initial: 1, maximum: 2, shared: true }));
    expectSameBits("memory", shared, run(new WebAssembly.Memory({ initial: 1 })));
  });
});

/** 4 GiB of addresses; only the pages that are touched become real. */
function hugeMemory(): WebAssembly.Memory | undefined {
  try {
    const memory = new WebAssembly.Memory({ initial: 65536 });
    new Float32Array(memory.buffer, 2 ** 32 - 4, 1)[0] = 0;
    return memory;
  } catch {
    return undefined;
  }
}

const huge = hugeMemory();
const unlessHuge = huge === undefined ? " (skipped: this host grants no memory of 4 GiB)" : "";

describe(`addresses from 2 GiB up to the last byte of 4 GiB${unlessHuge}`, () => {
  const LENGTH = 70;
  const GUARD = 16;
  const ABOVE = [2 ** 31 + 2 ** 20 + 4, 3 * 2 ** 30 + 8, 2 ** 32 - 2 ** 17, 2 ** 32 - 4 * LENGTH];
  /** Where buffers start: one lies across 2^31, in the unrolled loop's part or in the rest; one ends the memory. */
  const rotations = [33, 67].flatMap((below) => {
    const starts = [2 ** 31 - 4 * below, ...ABOVE];
    return starts.map((_, r) => starts.map((__, k) => starts[(k + r) % starts.length]!));
  });

  /** The buffer with its guards, as far as there is memory. */
  const around = (start: number) => {
    const end = Math.min(2 ** 32, start + 4 * (LENGTH + GUARD));
    return new Float32Array(huge!.buffer, start - 4 * GUARD, (end - start) / 4 + GUARD);
  };
  const initial = (k: number) => {
    const values = ordinary(LENGTH, k);
    return k > 2 ? values.map(Math.abs) : values;
  };
  const fill = (addresses: readonly number[]) => {
    addresses.forEach((start, k) => {
      around(start)
        .fill(0.5 + k)
        .set(initial(k), GUARD);
    });
  };
  const stateAfter = (steps: number, options: ReferenceOptions, zeroed = false) => {
    const [param, grad, expAvg, expAvgSq, maxExpAvgSq] = [0, 1, 2, 3, 4].map((k) =>
      zeroed && k > 1 ? new Float32Array(LENGTH) : initial(k),
    ) as [Float32Array, Float32Array, Float32Array, Float32Array, Float32Array];
    const state = { param, grad, expAvg, expAvgSq, maxExpAvgSq, step: 0 };
    for (let i = 0; i < steps; i++) referenceStep(state, options);
    return [param, grad, expAvg, expAvgSq, maxExpAvgSq];
  };
  const check = (addresses: readonly number[], expected: readonly Float32Array[]) => {
    addresses.forEach((start, k) => {
      const values = new Float32Array(around(start).length).fill(0.5 + k);
      values.set(expected[k]!, GUARD);
      expectSameBits(`buffer ${k} at ${start}`, around(start), values);
    });
  };

  const kinds = (["simd", "scalar"] as const).map((kind) => [kind] as const);

  it.skipIf(huge === undefined).each(kinds)("%s: every buffer at every one of 6 such places, bit for bit", (kind) => {
    const kernels: Kernels = kernelsOf(kind, huge!);
    for (const addresses of rotations) {
      fill(addresses);
      // A pointer as JavaScript has it, above 2^31, and as AssemblyScript's i32 would hand it back, negative.
      for (const pointers of [addresses, addresses.map((address) => address | 0)]) {
        fill(addresses);
        kernels.update[AMSGRAD_ROW]!(...([...pointers, LENGTH, ...CONSTANTS] as Parameters<UpdateKernel>));
        check(addresses, stateAfter(1, OPTIONS));
      }
    }
  });

  it.skipIf(huge === undefined).each(kinds)("%s: sum_squares and flush", (kind) => {
    const kernels = kernelsOf(kind, huge!);
    for (const start of new Set(rotations.flat())) {
      const values = around(start)
        .fill(2 ** -130)
        .subarray(GUARD, GUARD + LENGTH);
      values.fill(3);
      expect(kernels.sumSquares(start, LENGTH)).toBe(9 * LENGTH);
      values[0] = values[LENGTH - 1] = -(2 ** -127);
      kernels.flush(start, LENGTH);
      const expected = around(start)
        .slice()
        .fill(2 ** -130);
      expected.fill(3, GUARD, GUARD + LENGTH);
      expected[GUARD] = expected[GUARD + LENGTH - 1] = 0;
      expectSameBits(`at ${start}`, around(start), expected);
    }
  });

  it.skipIf(huge === undefined).each(kinds)(
    "%s: an optimizer over pointers steps, reads, zeroes and saves there",
    (kind) => {
      for (const addresses of rotations) {
        fill(addresses);
        const [param, grad, expAvg, expAvgSq, maxExpAvgSq] = addresses as [number, number, number, number, number];
        const pointers = { length: LENGTH, param, grad, expAvg, expAvgSq, maxExpAvgSq };
        const { mode: _, ...options } = OPTIONS;
        const optimizer = AdamW.createSync({ w: pointers }, { ...options, kernel: kind, memory: huge! });
        for (let i = 0; i < 2; i++) optimizer.step();
        const expected = stateAfter(2, OPTIONS, true);
        check(addresses, expected);
        expectSameBits("param", optimizer.param("w"), expected[0]!);
        expectSameBits("exp_avg", optimizer.stateDict().state.w!.exp_avg, expected[2]!);
        optimizer.zeroGrad();
        check(addresses, [expected[0]!, new Float32Array(LENGTH), ...expected.slice(2)]);
      }
    },
  );
});

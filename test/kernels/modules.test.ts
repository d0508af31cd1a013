/** The raw modules: what they do to a memory that belongs to somebody else. */
import { AdamW } from "fused-adam";
import { describe, expect, it } from "vitest";
import { type Kernels, UPDATE_ROWS, type UpdateKernel } from "../../src/kernels/table.js";
import { type ReferenceOptions, referenceStep } from "../reference.js";
import { expectSameBits } from "../support/bits.js";
import { ordinary } from "../support/data.js";
import { unless } from "../support/host.js";
import { Slab } from "../support/slab.js";
import { eachKind, kernelsOf, MODULE_NAMES, rawKernels } from "../support/wasm.js";

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

const AMSGRAD_ROW = UPDATE_ROWS.findIndex((row) => row.name === "decoupled_amsgrad");

function shifts(k: number): number {
  return (5 * k + 1) % 16;
}

describe("a foreign memory filled with a pattern", () => {
  const memories: Record<string, (shared: boolean) => WebAssembly.Memory | undefined> = {
    "1 page": (shared) => (shared ? undefined : new WebAssembly.Memory({ initial: 1 })),
    "1 page, at most 9": (shared) => new WebAssembly.Memory({ initial: 1, maximum: 9, shared }),
    "3 pages, at most 65536": (shared) => new WebAssembly.Memory({ initial: 3, maximum: 65536, shared }),
  };
  const cases = MODULE_NAMES.flatMap((name) =>
    Object.entries(memories).flatMap(([size, make]) =>
      make(name.endsWith("-shared")) === undefined ? [] : [[name, size, make] as const],
    ),
  );

  eachKind(cases)("%s, %s: instantiation changes no byte, even twice", (name, _, make) => {
    const memory = make(name.endsWith("-shared"))!;
    const bytes = filled(memory);
    const before = bytes.slice();
    rawKernels(name, memory);
    rawKernels(name, memory);
    expect(memory.buffer.byteLength).toBe(before.length);
    expect(Buffer.compare(bytes, before)).toBe(0);
  });

  eachKind(cases)("%s, %s: a step changes the bytes it was given and no other", (name, _, make) => {
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
    if (name.includes("relaxed")) for (const region of regions) region.expected.set(region.actual);
    slab.expectAsImagined(name, []);
    expect(kernels.sumSquares[0]!(addresses[1]!, length)).toBeGreaterThan(0);
    kernels.flush[0]!(addresses[2]!, length);
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
const noHuge = huge === undefined && "needs a memory of 4 GiB";

describe("addresses from 2 GiB up to the last byte of 4 GiB", unless(noHuge), () => {
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

  it.each(kinds)("%s: every buffer at every one of 6 such places, bit for bit", (kind) => {
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

  it.each(kinds)("%s: sum_squares and flush", (kind) => {
    const kernels = kernelsOf(kind, huge!);
    for (const start of new Set(rotations.flat())) {
      const values = around(start)
        .fill(2 ** -130)
        .subarray(GUARD, GUARD + LENGTH);
      values.fill(3);
      expect(kernels.sumSquares[0]!(start, LENGTH)).toBe(9 * LENGTH);
      values[0] = values[LENGTH - 1] = -(2 ** -127);
      kernels.flush[0]!(start, LENGTH);
      const expected = around(start)
        .slice()
        .fill(2 ** -130);
      expected.fill(3, GUARD, GUARD + LENGTH);
      expected[GUARD] = expected[GUARD + LENGTH - 1] = 0;
      expectSameBits(`at ${start}`, around(start), expected);
    }
  });

  it.each(kinds)("%s: an optimizer over pointers steps, reads, zeroes and saves there", (kind) => {
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
  });
});

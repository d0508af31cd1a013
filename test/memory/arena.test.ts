/** Where things lie: the optimizer's own arena, and regions of somebody else's memory. */
import { Adam, AdamW, type ParamPointers } from "fused-adam";
import { describe, expect, it } from "vitest";
import { Arena, spanOf } from "../../src/memory/arena.js";
import type { GroupSpec } from "../../src/memory/params.js";
import { FLUSH_EVERY } from "../reference.js";
import { floatsAt } from "../support/api.js";
import { expectSameBits } from "../support/bits.js";
import { dyadic, Model, type Optimizer } from "../support/model.js";

const KERNELS = ["simd", "scalar"] as const;
const REGIONS = ["param", "grad", "expAvg", "expAvgSq", "maxExpAvgSq"] as const;

/** Somebody's memory, and beside it what its bytes should be. */
class Host {
  readonly memory: WebAssembly.Memory;
  #image: Uint8Array;

  constructor(shared = false, pages = 2) {
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: 16, shared });
    const floats = new Uint32Array(this.memory.buffer);
    // Ordinary and subnormal values, never NaN: what is computed, zeroed or flushed by mistake shows.
    for (let i = 0; i < floats.length; i++) {
      floats[i] = (Math.imul(i + 1, 0x9e3779b1) & 0x807fffff) | (i % 3 === 0 ? 0 : 0x3f800000);
    }
    this.#image = this.#bytes().slice();
  }

  #bytes(): Uint8Array {
    return new Uint8Array(this.memory.buffer);
  }

  read(offset: number, length: number): Float32Array {
    return floatsAt(this.memory, offset, length).slice();
  }

  /** What models say lies at their pointers is what should lie there; every other byte is as it was. */
  expect(when: string, ...users: (readonly [Model, Readonly<Record<string, ParamPointers>>])[]): void {
    const floats = new Float32Array(this.#image.buffer);
    for (const [model, pointers] of users) {
      for (const { hyper, names } of model.groups) {
        for (const name of names) {
          for (const region of REGIONS.slice(0, hyper.amsgrad ? 5 : 4)) {
            floats.set(model.at(name)[region], pointers[name]![region]! / 4);
          }
        }
      }
    }
    const actual = this.#bytes();
    if (Buffer.compare(actual, this.#image) === 0) return;
    const at = actual.findIndex((byte, i) => byte !== this.#image[i]);
    throw new Error(`${when}: byte ${at} of ${actual.length} is ${actual[at]}, expected ${this.#image[at]}`);
  }

  grow(pages: number): void {
    this.memory.grow(pages);
    const grown = new Uint8Array(this.memory.buffer.byteLength);
    grown.set(this.#image);
    this.#image = grown;
  }

  /** The model of parameters whose values and gradients are what the memory holds. */
  model(mode: "adam" | "adamw", pointers: Readonly<Record<string, ParamPointers>>, options: object): Model {
    const values = Object.entries(pointers).map(([name, at]) => [name, this.read(at.param, at.length)] as const);
    const model = new Model(mode, Object.fromEntries(values), options);
    for (const [name, { grad, length }] of Object.entries(pointers)) model.at(name).grad.set(this.read(grad, length));
    return model;
  }
}

/** Lays regions out from `start` on, in the order listed, with `gap` bytes between them. */
function layOut(lengths: Readonly<Record<string, number>>, order: readonly string[], start: number, gap: number) {
  const pointers: Record<string, Record<string, number>> = {};
  let at = start;
  for (const place of order) {
    const [name, region] = place.split(".") as [string, string];
    const length = lengths[name]!;
    pointers[name] = { ...pointers[name], length, [region]: at };
    at += 4 * length + gap;
  }
  return pointers as unknown as Record<string, ParamPointers>;
}

const LENGTHS = { a: 17, b: 3, c: 16, d: 1, e: 64, f: 0, g: 5 };
const NAMES = Object.keys(LENGTHS);
const byTensor = NAMES.flatMap((name) => REGIONS.map((region) => `${name}.${region}`));
const byRegion = REGIONS.flatMap((region) => NAMES.map((name) => `${name}.${region}`));

const LAYOUTS: Record<string, Record<string, ParamPointers>> = {
  "tensor by tensor, 4-byte aligned": layOut(LENGTHS, byTensor, 1028, 0),
  "tensor by tensor, apart": layOut(LENGTHS, byTensor, 2052, 12),
  // One run per region, as in the arena but without padding: neighbours can go through a kernel together.
  "region by region, side by side": layOut(LENGTHS, byRegion, 1024, 0),
  "region by region, from the last to the first": layOut(LENGTHS, byRegion.toReversed(), 1036, 0),
  "from offset 0 on": layOut(LENGTHS, byRegion, 0, 0),
  "from offset 0 on, apart": layOut(LENGTHS, byTensor, 0, 4),
  "up to the end": layOut(LENGTHS, byRegion, 2 * 65536 - 4 * 5 * 106, 0),
  // Neighbours in all regions but one: they must not be taken for one run.
  ...Object.fromEntries(
    REGIONS.map((odd) => {
      const order = byRegion.filter((place) => !place.endsWith(`.${odd}`));
      const last = NAMES.toReversed().map((name) => `${name}.${odd}`);
      return [`side by side but for ${odd}`, layOut(LENGTHS, [...order, ...last], 1040, 0)];
    }),
  ),
};

describe.each(KERNELS)("in foreign memory: %s", (kernel) => {
  describe.each([false, true])("shared: %s", (shared) => {
    describe.each(Object.entries(LAYOUTS))("%s", (_, pointers) => {
      it.each([{ amsgrad: false }, { amsgrad: true, eps: 0 }])("only what was pointed at is touched: %j", (options) => {
        const host = new Host(shared);
        const model = host.model("adamw", pointers, { ...options, lr: 0.1 });
        const optimizer = AdamW.createSync(pointers, { ...options, lr: 0.1, kernel, memory: host.memory });
        expect(optimizer.memory).toBe(host.memory);
        expect(optimizer.kernel).toBe(kernel);
        // Moments are zeroed at creation, param and grad are left alone.
        host.expect("created", [model, pointers]);
        for (let step = 0; step <= FLUSH_EVERY; step++) {
          if (step > 0) model.fillGrads(optimizer, step);
          const how = [{}, { clipNorm: 3 }, { zeroGrad: true }, { skip: ["b", "e"] }][step % 4];
          expect(optimizer.step(how)).toMatchObject({ step: model.step(how).step, skipped: false });
          host.expect(`step ${step + 1}`, [model, pointers]);
        }
        optimizer.stateDict();
        optimizer.dispose();
        host.expect("disposed", [model, pointers]);
      });
    });

    it("the host may grow its memory between steps", () => {
      const host = new Host(shared);
      const pointers = LAYOUTS["region by region, side by side"]!;
      const model = host.model("adam", pointers, {});
      const optimizer = Adam.createSync(pointers, { kernel, memory: host.memory });
      for (let step = 0; step < 4; step++) {
        const before = optimizer.param("a");
        expect(optimizer.param("a")).toBe(before);
        host.grow(step % 2);
        if (!shared) expect(before.length).toBe(0);
        expect(optimizer.param("a").buffer.byteLength).toBe(host.memory.buffer.byteLength);
        expect(optimizer.param("a").length).toBe(17);
        model.fillGrads(optimizer, step);
        optimizer.step();
        model.step();
        host.expect(`step ${step + 1}`, [model, pointers]);
      }
      // Grown between creation and here: regions of the new pages are in range.
      const added = {
        late: layOut(
          { late: 9 },
          REGIONS.map((region) => `late.${region}`),
          3 * 65536 + 4,
          0,
        ).late!,
      };
      optimizer.addParamGroup({ params: added });
      model.add({ late: host.read(added.late.param, 9) });
      model.fillGrads(optimizer, 9);
      optimizer.step();
      model.step();
      host.expect("added", [model, { ...pointers, ...added }]);
    });
  });

  it("param and grad are views of the host's memory, at the host's offsets", () => {
    const host = new Host();
    const pointers = LAYOUTS["tensor by tensor, apart"]!;
    const optimizer = AdamW.createSync(pointers, { kernel, memory: host.memory });
    for (const name of NAMES) {
      const { param, grad, length } = pointers[name]!;
      for (const [view, offset] of [
        [optimizer.param(name), param],
        [optimizer.grad(name), grad],
      ] as const) {
        expect([view.buffer === host.memory.buffer, view.byteOffset, view.length]).toEqual([true, offset, length]);
      }
    }
  });

  it("a group added zeroes its own moments and nothing else; a state dict is loaded into its regions only", () => {
    const host = new Host();
    const { a, b, c, ...rest } = LAYOUTS["tensor by tensor, 4-byte aligned"]!;
    const own = { a: a!, b: b! };
    const model = host.model("adamw", own, {});
    const optimizer = AdamW.createSync(own, { kernel, memory: host.memory });
    model.fillGrads(optimizer, 1);
    optimizer.step();
    model.step();
    optimizer.addParamGroup({ params: { c: c! }, amsgrad: true });
    model.add({ c: host.read(c!.param, c!.length) }, { amsgrad: true });
    model.at("c").grad.set(host.read(c!.grad, c!.length));
    const first = [model, { ...own, c: c! }] as const;
    host.expect("added", first);

    const other = AdamW.createSync(rest, { kernel, memory: host.memory, lr: 0.5 });
    const others = host.model("adamw", rest, { lr: 0.5 });
    const second = [others, rest] as const;
    host.expect("another", first, second);
    for (let step = 0; step < 3; step++) {
      // Two optimizers in one memory, in turn.
      for (const [one, its] of [
        [optimizer, model],
        [other, others],
      ] as const) {
        its.fillGrads(one, step);
        expect(one.step()).toEqual(its.step());
        host.expect(`step ${step}`, first, second);
      }
    }
    const dict = other.stateDict();
    for (const [name, entry] of Object.entries(dict.state)) {
      entry.exp_avg.fill(0.5);
      entry.exp_avg_sq.fill(0.25);
      others.at(name).expAvg.fill(0.5);
      others.at(name).expAvgSq.fill(0.25);
    }
    host.expect("a state dict changed", first);
    other.loadStateDict(dict);
    host.expect("loaded", first, second);
    other.dispose();
    host.expect("disposed", first, second);
    model.fillGrads(optimizer, 7);
    expect(optimizer.step()).toEqual(model.step());
    host.expect("after the other's end", first, second);
  });

  it("above 2 GiB, across it, and up to the last byte of 4 GiB", () => {
    const memory = new WebAssembly.Memory({ initial: 65536 });
    const end = 2 ** 32;
    const lengths = { low: 5, across: 21, high: 33, last: 19 };
    const places = {
      low: layOut(
        { low: 5 },
        REGIONS.map((region) => `low.${region}`),
        0,
        8,
      ).low!,
      across: layOut(
        { across: 21 },
        REGIONS.map((region) => `across.${region}`),
        2 ** 31 - 40,
        4,
      ).across!,
      high: layOut(
        { high: 33 },
        REGIONS.map((region) => `high.${region}`),
        2 ** 31 + 4096,
        0,
      ).high!,
      last: layOut(
        { last: 19 },
        REGIONS.map((region) => `last.${region}`),
        end - 5 * 76,
        0,
      ).last!,
    };
    const values = Object.fromEntries(Object.entries(lengths).map(([name, length]) => [name, dyadic(length, length)]));
    for (const [name, at] of Object.entries(places)) floatsAt(memory, at.param, at.length).set(values[name]!);
    const options = { amsgrad: true, weightDecay: 0.1, lr: 0.1 };
    const optimizer = Adam.createSync(places, { ...options, kernel, memory });
    const model = new Model("adam", values, options);
    for (let step = 0; step <= FLUSH_EVERY; step++) {
      model.fillGrads(optimizer, step);
      const how = [{}, { clipNorm: 2, zeroGrad: true }][step % 2];
      expect(optimizer.step(how)).toEqual(model.step(how));
    }
    model.expectSame(optimizer);
    for (const [name, at] of Object.entries(places)) {
      for (const region of REGIONS) {
        expectSameBits(`${name}.${region}`, floatsAt(memory, at[region]!, at.length), model.at(name)[region]);
      }
    }
    // What an offset taken for a signed or a wrapped one would have hit.
    expect(floatsAt(memory, 1024, 4096).some((x) => x !== 0)).toBe(false);
    expect(floatsAt(memory, 2 ** 31 + 600, 800).some((x) => x !== 0)).toBe(false);
    expect(floatsAt(memory, end - 5 * 76 - 4096, 1024).some((x) => x !== 0)).toBe(false);
  });
});

describe("the arena", () => {
  const lengths = { a: 17, b: 3, none: 0, c: 16, d: 1, e: 64 };
  const values = (of: Record<string, number>) =>
    Object.fromEntries(Object.entries(of).map(([name, length]) => [name, dyadic(length, length)]));
  const line = (length: number) => 64 * Math.ceil((4 * length) / 64);

  /** Checks a group against param | grad | expAvg | expAvgSq | maxExpAvgSq, and returns where it begins and ends. */
  function expectRun(optimizer: Optimizer, index: number): { start: number; end: number } {
    const { params, amsgrad } = optimizer.paramGroups[index]!;
    const { state } = optimizer.stateDict();
    const sizes = params.map((name) => line(optimizer.param(name).length));
    const stride = sizes.reduce((sum, size) => sum + size, 0);
    const start = optimizer.param(params[0]!).byteOffset;
    params.forEach((name, i) => {
      const at = start + sizes.slice(0, i).reduce((sum, size) => sum + size, 0);
      expect([optimizer.param(name).byteOffset, optimizer.grad(name).byteOffset], name).toEqual([at, at + stride]);
      expect(at % 64).toBe(0);
      const { exp_avg, exp_avg_sq, max_exp_avg_sq } = state[name]!;
      const moments = [exp_avg, exp_avg_sq, ...(amsgrad ? [max_exp_avg_sq!] : [])];
      moments.forEach((moment, j) => {
        const there = floatsAt(optimizer.memory, at + (2 + j) * stride, moment.length);
        expectSameBits(`${name} moment ${j}`, there, moment);
      });
    });
    return { start, end: start + stride * (amsgrad ? 5 : 4) };
  }

  it("is one contiguous run per group, every tensor on a cache line, param | grad | expAvg | expAvgSq | maxExpAvgSq", () => {
    const groups = [{ params: values(lengths) }, { params: [dyadic(33, 1), dyadic(2, 2)], amsgrad: true }];
    const optimizer = AdamW.createSync(groups);
    optimizer.addParamGroup({ params: { late: dyadic(50, 1) } });
    optimizer.addParamGroup({ params: { later: dyadic(30000, 1), z: dyadic(1, 1) }, amsgrad: true });
    for (const name of optimizer.names) optimizer.grad(name).set(dyadic(optimizer.grad(name).length, 3));
    optimizer.step();
    const runs = optimizer.paramGroups.map((_, i) => expectRun(optimizer, i));
    for (const [i, { start }] of runs.entries()) if (i > 0) expect(start).toBe(runs[i - 1]!.end);
    // Nothing below: kernels take addresses under 1024 for unused.
    expect(runs[0]!.start).toBeGreaterThanOrEqual(1024);
    expect(floatsAt(optimizer.memory, 0, runs[0]!.start / 4).some((x) => x !== 0)).toBe(false);
  });

  it("keeps regions of 256 KiB and more 17 cache lines off a multiple of 4 KiB, zeros between them", () => {
    for (const length of [65536, 65537, 66560, 100_000]) {
      const optimizer = AdamW.createSync({ w: dyadic(length, 1), next: dyadic(1, 2) }, { amsgrad: true });
      for (const name of optimizer.names) optimizer.grad(name).fill(1);
      optimizer.step();
      const at = optimizer.param("w").byteOffset;
      const stride = optimizer.grad("w").byteOffset - at;
      const used = 64 * Math.ceil(length / 16) + 64;
      expect(stride % 4096).toBe(17 * 64);
      expect(stride).toBeGreaterThanOrEqual(used);
      expect(stride).toBeLessThan(used + 4096);
      for (let region = 0; region < 5; region++) {
        const gap = floatsAt(optimizer.memory, at + region * stride + used, (stride - used) / 4);
        expect(gap.every((x) => Object.is(x, 0))).toBe(true);
      }
      // The fifth region's last byte is inside the memory, and what comes next begins behind it.
      optimizer.addParamGroup({ params: { later: dyadic(3, 1) } });
      expect(optimizer.param("later").byteOffset).toBe(at + 5 * stride);
    }
  });

  it("keeps any two regions of 4 KiB to 256 KiB two cache lines off a multiple of 4 KiB, for at most 7 % of a region", () => {
    const lengths = Array.from({ length: 3000 }, (_, i) => 16 * (64 + i)).filter(
      (n) => n < 2000 || n % 1024 < 48 || n % 341 < 16,
    );
    for (const length of [...lengths, 1024, 2048, 4096, 32_768, 65_520]) {
      const optimizer = AdamW.createSync({ w: { shape: [length] }, next: { shape: [16] } }, { amsgrad: true });
      const stride = optimizer.grad("w").byteOffset - optimizer.param("w").byteOffset;
      const used = 4 * (length + 16);
      for (const regions of [1, 2, 3, 4]) {
        const off = (regions * stride) % 4096;
        expect(Math.min(off, 4096 - off), `${length} parameters, ${regions} regions`).toBeGreaterThanOrEqual(128);
      }
      expect(stride - used).toBeGreaterThanOrEqual(0);
      expect(stride - used).toBeLessThanOrEqual(0.07 * used);
    }
    // The last byte of the last region is inside, and what comes next begins behind it.
    const optimizer = AdamW.createSync({ w: { shape: [4096] } }, { amsgrad: true });
    const at = optimizer.param("w").byteOffset;
    const stride = optimizer.grad("w").byteOffset - at;
    optimizer.addParamGroup({ params: { later: dyadic(3, 1) } });
    expect(optimizer.param("later").byteOffset).toBe(at + 5 * stride);
  });

  it("grows when parameters are added, and never otherwise", () => {
    const optimizer = AdamW.createSync(values(lengths));
    const { buffer } = optimizer.memory;
    const views = optimizer.names.flatMap((name) => [optimizer.param(name), optimizer.grad(name)]);
    for (let step = 0; step < 20; step++) optimizer.step({ clipNorm: 1, zeroGrad: true });
    optimizer.loadStateDict(optimizer.stateDict());
    optimizer.zeroGrad();
    expect(optimizer.memory.buffer).toBe(buffer);
    expect(optimizer.names.flatMap((name) => [optimizer.param(name), optimizer.grad(name)])).toEqual(views);
    const { memory } = optimizer;
    optimizer.addParamGroup({ params: { big: { shape: [100, 1000] } } });
    expect(optimizer.memory).toBe(memory);
    // Four arrays of 400,000 bytes, up to 4 KiB behind each, and no more than a page beside what was there.
    const grown = optimizer.memory.buffer.byteLength - buffer.byteLength;
    expect(buffer.byteLength).toBe(0);
    expect(grown).toBeGreaterThan(1_600_000);
    expect(grown).toBeLessThan(1_600_000 + 4 * 4096 + 2 * 65536);
  });

  it("is unshared memory that its owner may look at", () => {
    const optimizer = AdamW.createSync(values(lengths));
    expect(optimizer.memory).toBeInstanceOf(WebAssembly.Memory);
    expect(optimizer.memory.buffer).toBeInstanceOf(ArrayBuffer);
    expect(optimizer.param("a").buffer).toBe(optimizer.memory.buffer);
  });

  it("goes on above 2 GiB", () => {
    // Four regions of 512 MiB, the big parameter being left out of every step; those added lie above 2^31.
    const optimizer = AdamW.createSync({ big: { shape: [2 ** 27 + 5] } });
    const small = values({ a: 21, b: 3, c: 16 });
    const options = { amsgrad: true, lr: 0.1 };
    optimizer.addParamGroup({ params: small, ...options });
    expect(optimizer.param("a").byteOffset).toBeGreaterThan(2 ** 31);
    const model = new Model("adamw", small, options);
    for (let step = 1; step <= FLUSH_EVERY; step++) {
      for (const name of Object.keys(small)) model.setGrad(optimizer, name, dyadic(small[name]!.length, step));
      expect(optimizer.step({ clipNorm: 3, skip: ["big"] })).toEqual(model.step({ clipNorm: 3 }));
    }
    // Not by state dict: a copy of the big one's moments is a gigabyte.
    const stride = optimizer.grad("a").byteOffset - optimizer.param("a").byteOffset;
    for (const [name, tensor] of model.tensors) {
      for (const [i, region] of REGIONS.entries()) {
        const there = floatsAt(optimizer.memory, optimizer.param(name).byteOffset + i * stride, tensor.param.length);
        expectSameBits(`${name}.${region}`, there, tensor[region]);
      }
    }
    expect(floatsAt(optimizer.memory, 0, 2048).some((x) => x !== 0)).toBe(false);
  });
});

describe("regions of narrower numbers", () => {
  /** As 16-bit moments and gradients, and copies of the parameters, will have them. */
  const LAYOUTS = {
    "moments of 2 bytes": { param: 4, grad: 4, expAvg: 2, expAvgSq: 2 },
    "moments of 2 bytes, with AMSGrad": { param: 4, grad: 4, expAvg: 2, expAvgSq: 2, maxExpAvgSq: 2 },
    "gradients of 2 bytes": { param: 4, grad: 2, expAvg: 4, expAvgSq: 4 },
    "moments and gradients of 2 bytes": { param: 4, grad: 2, expAvg: 2, expAvgSq: 2 },
    "4 bytes": { param: 4, grad: 4, expAvg: 4, expAvgSq: 4 },
    "4 bytes, with AMSGrad": { param: 4, grad: 4, expAvg: 4, expAvgSq: 4, maxExpAvgSq: 4 },
  } as const;

  const groupOf = (layout: object, lengths: readonly number[]) =>
    ({
      regions: Object.entries(layout).map(([name, bytes]) => ({ name, storage: { bytes } })),
      params: lengths.map((length) => ({ length })),
    }) as unknown as GroupSpec;

  it.each(Object.entries(LAYOUTS))("%s: on cache lines, contiguous, spans alike, 128 bytes off 4 KiB", (_, layout) => {
    const widths = Object.entries(layout) as [keyof typeof layout, number][];
    for (const lengths of [[1], [17, 0, 3, 64], [1000, 24], [5000, 77], [16384], [65536], [70_000, 1, 33]]) {
      const group = groupOf(layout, lengths);
      const spans = lengths.map((length) => spanOf(length, group.regions));
      const elements = spans.reduce((sum, span) => sum + span, 0);
      const arena = new Arena(Arena.bytes([group, group]), false);
      const [first, second] = [arena.place(group), arena.place(group)];
      for (const placed of [first, second]) {
        for (const [name, bytes] of widths) {
          let next = placed[0]![name];
          placed.forEach((at, i) => {
            // A kernel that is handed two tensors at once finds the second in every region after the same number of elements.
            expect(at[name]).toBe(next);
            expect(at[name] % 64).toBe(0);
            next += spans[i]! * bytes;
          });
        }
        for (const [i, [one, bytes]] of widths.entries()) {
          for (const [other] of widths.slice(i + 1)) {
            const distance = placed[0]![other] - placed[0]![one];
            expect(distance).toBeGreaterThanOrEqual(elements * bytes);
            if (elements >= 1024)
              expect(Math.min(distance % 4096, 4096 - (distance % 4096))).toBeGreaterThanOrEqual(128);
          }
        }
        for (const name of ["param", "grad", "expAvg", "expAvgSq", "maxExpAvgSq"] as const) {
          if (!(name in layout)) expect(placed[0]![name]).toBe(-1);
        }
      }
      const [last, bytes] = widths.at(-1)!;
      expect(second[0]!.param).toBeGreaterThanOrEqual(first[0]![last] + elements * bytes);
      expect(second[0]![last] + elements * bytes).toBeLessThanOrEqual(arena.memory.buffer.byteLength);
    }
  });

  it("a parameter takes its elements' bytes: 16, with moments of 2 bytes 12, with gradients of 2 bytes as well 10", () => {
    const million = 2 ** 20;
    for (const [name, bytes] of [
      ["4 bytes, with AMSGrad", 20],
      ["4 bytes", 16],
      ["moments of 2 bytes", 12],
      ["moments and gradients of 2 bytes", 10],
    ] as const) {
      const taken = Arena.bytes([groupOf(LAYOUTS[name], [million])]);
      // Up to 4 KiB behind each region.
      expect(taken - bytes * million, name).toBeGreaterThanOrEqual(0);
      expect(taken - bytes * million, name).toBeLessThan(5 * 4096);
    }
  });
});

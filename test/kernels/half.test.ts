/** Formats of 16 bits: every pattern in and out, and every update kernel against the float32 reference, bit for bit. */
import { describe, expect, it } from "vitest";
import { FORMAT_ROWS, type FormatRow } from "../../src/kernels/rows.js";
import { seedOf } from "../../src/kernels/seed.js";
import { type Kernels, UPDATE_ROWS, type UpdateKernel } from "../../src/kernels/table.js";
import { stepConstants } from "../../src/optimizer/stepConstants.js";
import { FLUSH_EVERY, fromBfloat16, type ReferenceOptions, referenceSeed, referenceStep } from "../reference.js";
import { bitsOf, showFloat } from "../support/bits.js";
import { ordinary, randomBits, wild } from "../support/data.js";
import { decoded, encoded, type Half, PATTERNS, VALUES } from "../support/halves.js";
import { sumOfSquares } from "../support/norm.js";
import { eachKind, kernelsOf, type RawKind } from "../support/wasm.js";

const HALVES: readonly Half[] = ["float16", "bfloat16"];
const KINDS: readonly RawKind[] = ["simd", "relaxed", "scalar"];
/** Indices as the kernels have them. */
const FORMAT = { float32: 0, float16: 1, bfloat16: 2 } as const;
const each = KINDS.flatMap((kind) => HALVES.map((format) => [kind, format] as const));

const memoryOf = (pages = 64) => new WebAssembly.Memory({ initial: pages });
const numberOf = (name: string) => FORMAT_ROWS.findIndex((row) => row.name === name);

/** Every pattern, in an order in which neighbours have nothing in common. */
const ORDER = Uint16Array.from({ length: PATTERNS }, (_, i) => (i * 40503) % PATTERNS);

describe("all 65,536 patterns", () => {
  eachKind(each)("%s: %s gradients are widened exactly", (kind, format) => {
    const memory = memoryOf();
    const kernels = kernelsOf(kind, memory, true);
    const [param, grad, m, v] = [65536, 524288, 786432, 1310720];
    new Uint16Array(memory.buffer, grad, PATTERNS).set(ORDER);
    // m = m·0 + g·1: with m = -0, the sum has the bits of g.
    const moments = new Float32Array(memory.buffer, m, PATTERNS).fill(-0);
    const update = kernels.update[numberOf(`decoupled_${format}_grads`)]!;
    update(param, grad, m, v, -1, PATTERNS, 0, 1, 0, 1, 0, 1, 1, 1, 1, -1, 0, 0);
    const expected = decoded(format, ORDER);
    expect(bitsOf(moments)).toEqual(bitsOf(expected));
  });

  eachKind(each)("%s: their sum of squares in %s has the bits of float32's", (kind, format) => {
    const memory = memoryOf();
    const kernels = kernelsOf(kind, memory, true);
    new Uint16Array(memory.buffer, 65536, PATTERNS).set(ORDER);
    for (const length of [0, 1, 7, 8, 9, 100, 4095, 4096]) {
      for (let start = 0; start + length <= PATTERNS; start += 4096) {
        const values = decoded(format, ORDER.subarray(start, start + length));
        expect(kernels.sumSquares[FORMAT[format]]!(65536 + 2 * start, length)).toEqual(sumOfSquares(values));
      }
    }
  });

  eachKind(KINDS.map((kind) => [kind] as const))("%s: the flush zeroes those below 2^-126 and no other", (kind) => {
    const memory = memoryOf();
    const kernels = kernelsOf(kind, memory, true);
    for (const length of [PATTERNS, 37, 15]) {
      const moments = new Uint16Array(memory.buffer, 65538, PATTERNS);
      moments.set(ORDER);
      kernels.flush[FORMAT.bfloat16]!(65538, length);
      const expected = ORDER.map((pattern, i) =>
        i < length && Math.abs(VALUES.bfloat16[pattern]!) < 2 ** -126 ? 0 : pattern,
      );
      expect(moments).toEqual(expected);
    }
  });

  eachKind(each)(
    "%s: %s copies of them, of what lies half way, and of the neighbours of both are nearest",
    (kind, format) => {
      const memory = memoryOf();
      const kernels = kernelsOf(kind, memory, true);
      const [params, copies] = [65536, 1048576];
      // A float32's bits behind those of the format: none, half and its neighbours, all, one.
      const tails =
        format === "bfloat16" ? [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff] : [0, 1, 0xfff, 0x1000, 0x1001, 0x1fff];
      for (const tail of tails) {
        // Of float16, what a float32 holds beside it: the same pattern, all upper bits of a float32 with three more.
        const floats = new Uint32Array(memory.buffer, params, PATTERNS);
        const values = new Float32Array(memory.buffer, params, PATTERNS);
        for (const shift of format === "bfloat16" ? [0] : [0, 0x2000, 0x6000, 0xe000]) {
          ORDER.forEach((pattern, i) => {
            floats[i] = pattern * 65536 + shift + tail;
          });
          kernels.copy[FORMAT[format]]!(params, copies, PATTERNS);
          const actual = new Uint16Array(memory.buffer, copies, PATTERNS);
          expect(actual).toEqual(encoded(format, values));
        }
      }
      // Below float16's smallest normal number the step is 2^-24, whatever a float32's exponent is.
      const steps = Float32Array.from({ length: 4 * 2048 }, (_, i) => (i / 4) * 2 ** -24);
      new Float32Array(memory.buffer, params, steps.length).set(steps);
      kernels.copy[FORMAT[format]]!(params, copies, steps.length);
      const expected = encoded(format, steps);
      expect(new Uint16Array(memory.buffer, copies, steps.length)).toEqual(expected);
    },
  );
});

describe("the seed of a step", () => {
  it.each([1, 2, 3, 31, 32, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 5, 2 ** 53 - 1])("%d", (step) => {
    expect(BigInt(seedOf(step) >>> 0)).toBe(referenceSeed(step));
  });
});

const REGIONS = ["param", "grad", "expAvg", "expAvgSq", "maxExpAvgSq", "copy"] as const;
type Name = (typeof REGIONS)[number];

/** Regions in a memory filled with a pattern, and an image of what it should hold: every byte that is not given is a guard. */
class Stage {
  readonly memory = memoryOf(2);
  readonly image = new Uint8Array(this.memory.buffer.byteLength);
  readonly at: Record<Name, number> = { param: 0, grad: 0, expAvg: 0, expAvgSq: 0, maxExpAvgSq: 0, copy: 0 };

  /** @param bytes of an element, by region @param offset in elements, in a line of 64 bytes: another one for each region */
  place(bytes: Record<Name, number>, length: number, offset: number): void {
    const actual = new Uint8Array(this.memory.buffer);
    for (let i = 0; i < actual.length; i++) actual[i] = (i * 167 + (i >>> 8)) & 0xff;
    this.image.set(actual);
    let top = 1024;
    REGIONS.forEach((name, k) => {
      top = Math.ceil((top + 64) / 64) * 64 + bytes[name] * ((offset + 3 * k) % 16);
      this.at[name] = top;
      top += bytes[name] * length;
    });
  }

  /** Writes bits, of 16 or 32 each, into the memory, or into the image. */
  write(where: "memory" | "image", name: Name, bits: Uint16Array | Uint32Array): void {
    const target = where === "memory" ? new Uint8Array(this.memory.buffer) : this.image;
    target.set(new Uint8Array(bits.buffer, bits.byteOffset, bits.byteLength), this.at[name]);
  }

  expectAsImagined(label: string, length: number): void {
    // NaN payloads of parameters are not promised.
    for (const buffer of [this.memory.buffer, this.image.buffer]) {
      const params = new Float32Array(buffer, this.at.param, length);
      params.set(new Float32Array(bitsOf(params).buffer));
    }
    const actual = new Uint8Array(this.memory.buffer);
    if (Buffer.compare(actual, this.image) === 0) return;
    const i = actual.findIndex((byte, at) => byte !== this.image[at]);
    const name = REGIONS.findLast((region) => this.at[region] <= i);
    throw new Error(`${label}: byte ${i - (name === undefined ? 0 : this.at[name])} of ${name}`);
  }
}

/** Float32 values as a format holds them: any pattern at all, or the nearest to these. */
function patternsOf(format: FormatRow["grads"], values: Float32Array): Uint16Array | Uint32Array {
  if (format === "float32") return bitsOf(values);
  return encoded(format, values);
}

function floatsOf(format: FormatRow["grads"], patterns: Uint16Array | Uint32Array): Float32Array {
  if (format === "float32") return new Float32Array(patterns.slice().buffer);
  return decoded(format, patterns);
}

const HYPER = { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0.01, biasCorrection: true } as const;
const SIZES = [0, 1, 3, 4, 15, 16, 17, 31, 32, 33, 63, 65, 129, 1030];
const COPIES = ["none", "float16", "bfloat16"] as const;

function runKernel(
  kernels: Kernels,
  row: FormatRow,
  stage: Stage,
  length: number,
  step: number,
  factor: number,
  copies: number,
) {
  const constants = new Float32Array(9);
  stepConstants(constants, HYPER, row.decay === "l2", HYPER.lr, HYPER.weightDecay, step, factor);
  const { param, grad, expAvg, expAvgSq, maxExpAvgSq, copy } = stage.at;
  const args = [param, grad, expAvg, expAvgSq, maxExpAvgSq, length, ...constants, copy, seedOf(step), copies];
  kernels.update[FORMAT_ROWS.indexOf(row)]!(...(args as Parameters<UpdateKernel>));
  if (step % FLUSH_EVERY !== 0) return;
  const flush = kernels.flush[FORMAT[row.moments]]!;
  for (const moment of [expAvg, expAvgSq, ...(row.amsgrad ? [maxExpAvgSq] : [])]) flush(moment, length);
}

const suites = (["simd", "scalar"] as const).flatMap((kind) =>
  FORMAT_ROWS.map((row) => [kind, row.name, row] as const),
);

describe("bit for bit, no other byte written: 3 steps, sizes to 1000, offsets, copies or none, NaN to 1e38", () => {
  it.each(suites)("%s %s", (kind, _, row) => {
    const stage = new Stage();
    const kernels = kernelsOf(kind, stage.memory, true);
    const bytes = (format: FormatRow["grads"]) => (format === "float32" ? 4 : 2);
    const sizes = { moments: bytes(row.moments), grads: bytes(row.grads) };
    const factor = row.gradient === "plain" ? 1 : -0.37;
    let cases = 0;
    for (const length of SIZES) {
      for (const copies of COPIES) {
        const draw = (seed: number) => (cases % 3 === 2 ? ordinary : wild)(length, 97 * cases + seed);
        const { moments, grads } = sizes;
        const all = { param: 4, grad: grads, expAvg: moments, expAvgSq: moments, maxExpAvgSq: moments, copy: 2 };
        stage.place(all, length, cases);
        const first = {
          param: bitsOf(draw(1)),
          expAvg: patternsOf(row.moments, draw(2)),
          expAvgSq: patternsOf(row.moments, cases % 4 === 3 ? draw(3) : draw(3).map(Math.abs)),
          maxExpAvgSq: patternsOf(row.moments, draw(4).map(Math.abs)),
        };
        for (const [name, bits] of Object.entries(first)) {
          stage.write("memory", name as Name, bits);
          stage.write("image", name as Name, bits);
        }
        const state = {
          param: floatsOf("float32", first.param),
          grad: new Float32Array(length),
          expAvg: floatsOf(row.moments, first.expAvg),
          expAvgSq: floatsOf(row.moments, first.expAvgSq),
          maxExpAvgSq: floatsOf(row.moments, first.maxExpAvgSq),
          step: FLUSH_EVERY - 2,
        };
        const mode = row.decay === "l2" ? "adam" : "adamw";
        const options: ReferenceOptions = {
          ...HYPER,
          mode,
          amsgrad: row.amsgrad,
          maximize: factor < 0,
          moments: row.moments,
        };
        for (let i = 0; i < 3; i++) {
          const gradient = patternsOf(row.grads, draw(5 + i));
          stage.write("memory", "grad", gradient);
          state.grad = new Float32Array(floatsOf(row.grads, gradient));
          if (row.gradient === "zeroing") gradient.fill(0);
          stage.write("image", "grad", gradient);
          referenceStep(state, options, Math.abs(factor));
          stage.write("image", "param", bitsOf(state.param));
          for (const name of ["expAvg", "expAvgSq", "maxExpAvgSq"] as const) {
            if (name !== "maxExpAvgSq" || row.amsgrad) stage.write("image", name, patternsOf(row.moments, state[name]));
          }
          if (copies !== "none") stage.write("image", "copy", patternsOf(copies, state.param));
          runKernel(kernels, row, stage, length, state.step, factor, copies === "none" ? 0 : FORMAT[copies]);
          if (row.moments === "float32") canonical(stage, row, length);
          stage.expectAsImagined(`length ${length}, copies ${copies}, step ${state.step}`, length);
        }
        cases += 1;
      }
    }
  });
});

/** NaN payloads of moments that are float32 are not promised. */
function canonical({ memory, at }: Stage, row: FormatRow, length: number): void {
  for (const name of ["expAvg", "expAvgSq", ...(row.amsgrad ? (["maxExpAvgSq"] as const) : [])] as const) {
    const moments = new Float32Array(memory.buffer, at[name], length);
    new Uint32Array(memory.buffer, at[name], length).set(bitsOf(moments));
  }
}

describe("moments of 16 bits", () => {
  const kinds = KINDS.map((kind) => [kind] as const);

  eachKind(kinds)("%s: a NaN of all ones is stored as 0x7FC0, in m, v and vmax", (kind) => {
    for (const row of FORMAT_ROWS.filter(({ moments }) => moments === "bfloat16")) {
      const stage = new Stage();
      const bytes = row.grads === "float32" ? 4 : 2;
      stage.place({ param: 4, grad: bytes, expAvg: 2, expAvgSq: 2, maxExpAvgSq: 2, copy: 2 }, 21, 0);
      for (const name of ["param", "expAvg", "expAvgSq", "maxExpAvgSq"] as const) {
        stage.write("memory", name, name === "param" ? new Uint32Array(21) : new Uint16Array(21));
      }
      stage.write(
        "memory",
        "grad",
        bytes === 4 ? new Uint32Array(21).fill(2 ** 32 - 1) : new Uint16Array(21).fill(65535),
      );
      runKernel(kernelsOf(kind, stage.memory, true), row, stage, 21, 3, 1, 0);
      for (const name of ["expAvg", "expAvgSq", ...(row.amsgrad ? (["maxExpAvgSq"] as const) : [])] as const) {
        const stored = new Uint16Array(stage.memory.buffer, stage.at[name], 21);
        expect(
          [...stored].every((bits) => bits === 0x7fc0),
          `${row.name} ${name}`,
        ).toBe(true);
      }
    }
  });

  it("on average nothing is lost: over 65,536 different m the mean error is below 1 % of the step between two bfloat16", () => {
    const memory = memoryOf();
    const kernels = kernelsOf("simd", memory, true);
    const [param, grad, m, v] = [65536, 524288, 1048576, 1572864];
    const next = randomBits(5);
    const gradients = Float32Array.from({ length: PATTERNS }, () => 1 + next() / 2 ** 32);
    new Float32Array(memory.buffer, grad, PATTERNS).set(gradients);
    // m = g and v = g·g, of which the first has steps of 2^-7 between 1 and 2.
    kernels.update[numberOf("decoupled_bfloat16_moments")]!(
      param,
      grad,
      m,
      v,
      -1,
      PATTERNS,
      0,
      1,
      0,
      1,
      0,
      1,
      1,
      1,
      1,
      -1,
      seedOf(7),
      0,
    );
    let error = 0;
    let most = 0;
    new Uint16Array(memory.buffer, m, PATTERNS).forEach((bits, i) => {
      const apart = (fromBfloat16(bits) - gradients[i]!) * 128;
      error += apart / PATTERNS;
      most = Math.max(most, Math.abs(apart));
    });
    expect(Math.abs(error), showFloat(error)).toBeLessThan(0.01);
    expect(most).toBeLessThan(1);
    expect(most).toBeGreaterThan(0.99);
  });

  it("rows of float32 alone have the bits that they have in the module without other formats", () => {
    const run = (half: boolean) => {
      const memory = memoryOf();
      const kernels = kernelsOf("simd", memory, half);
      const [param, grad, m, v, x] = [65536, 131072, 196608, 262144, 327680];
      new Float32Array(memory.buffer, param, 9000).set(wild(9000, 1));
      new Float32Array(memory.buffer, grad, 9000).set(wild(9000, 2));
      for (let row = 0; row < UPDATE_ROWS.length; row++) {
        kernels.update[row]!(param, grad, m, v, x, 9000, 0.9, 0.1, 0.999, 0.001, 1e-3, 1, 1e-8, 0.5, 1, -1, 0, 0);
      }
      return bitsOf(new Float32Array(memory.buffer, 65536, 80000));
    };
    expect(run(true)).toEqual(run(false));
  });
});

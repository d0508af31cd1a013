/** Groups whose numbers have 16 bits: the optimizer against the float32 reference, bit for bit, and what its calls refuse. */
import { Adam, type AdamOptions, AdamW, type Optimizer, preload, type RuntimeOptions } from "fused-adam";
import { describe, expect, it } from "vitest";
import { type ReferenceState, referenceStep } from "../reference.js";
import { expectSameBits } from "../support/bits.js";
import { ordinary } from "../support/data.js";
import { decoded, encoded, rounded } from "../support/halves.js";
import { normOf } from "../support/norm.js";

// Pages load these kernels only when they are asked for.
for (const kernel of ["simd", "scalar"] as const) await preload({ kernel, moments: "bfloat16" });

type Formats = Pick<AdamOptions, "moments" | "grads" | "copies">;

const CHOICES: readonly Formats[] = [
  { moments: "bfloat16" },
  { grads: "float16" },
  { grads: "bfloat16", copies: "float16" },
  { moments: "bfloat16", grads: "float16", copies: "bfloat16" },
  { moments: "bfloat16", grads: "bfloat16" },
  { copies: "bfloat16" },
];
const RUNTIMES: readonly RuntimeOptions[] = [
  { kernel: "simd" },
  { kernel: "scalar" },
  { kernel: "simd", threads: 3 },
  { kernel: "scalar", threads: 2 },
];
const show = (options: object) =>
  Object.entries(options)
    .map(([key, value]) => `${key} ${value}`)
    .join(", ");

/** Sets a gradient as the group has it. @returns what it stands for */
function give(optimizer: Optimizer, name: string, grads: Formats["grads"], values: Float32Array): Float32Array {
  if (grads === undefined || grads === "float32") {
    optimizer.setGrad(name, values);
    return values;
  }
  const patterns = encoded(grads, values);
  optimizer.setGrad(name, patterns);
  return decoded(grads, patterns);
}

const NAMES = ["a", "b", "c", "d"] as const;
/** The first large enough for workers, where there are any. */
const lengthsFor = ({ threads = 1 }: RuntimeOptions) => ({ a: threads === 1 ? 1500 : 66_001, b: 3, c: 0, d: 129 });

describe.each(CHOICES.map((formats) => [show(formats), formats] as const))("%s", (_, formats) => {
  it.each(RUNTIMES.map((runtime) => [show(runtime), runtime] as const))(
    "%s: 34 steps (3 with workers) as the reference, a parameter skipped, clipped, scaled, with AMSGrad and without",
    (_, runtime) => {
      const lengths = lengthsFor(runtime);
      const initial = (name: (typeof NAMES)[number]) => ordinary(lengths[name], lengths[name]);
      for (const amsgrad of runtime.threads ? [true] : [false, true]) {
        const params = Object.fromEntries(NAMES.map((name) => [name, initial(name)]));
        const options = { lr: 0.01, weightDecay: 0.1, amsgrad, ...formats };
        const optimizer = AdamW.createSync(params, { ...options, ...runtime });
        const states = NAMES.map((name): ReferenceState => {
          const zeros = () => new Float32Array(lengths[name]);
          return {
            param: initial(name),
            grad: zeros(),
            expAvg: zeros(),
            expAvgSq: zeros(),
            maxExpAvgSq: zeros(),
            step: 0,
          };
        });
        for (let step = 1; step <= (runtime.threads ? 3 : 34); step++) {
          const skip = step % 5 === 2 ? ["b"] : [];
          NAMES.forEach((name, i) => {
            // As small as needed for zeros, subnormals and normal numbers of float16 among them.
            const values = ordinary(lengths[name], 1000 * step + i).map((x) => x / 64);
            states[i]!.grad = new Float32Array(give(optimizer, name, formats.grads, values));
          });
          const taken = states.filter((_, i) => !skip.includes(NAMES[i]!));
          const norm = normOf(
            taken.map(({ grad }) => grad),
            4,
          );
          const clipNorm = norm / 2;
          const result = optimizer.step({ clipNorm, gradScale: 4, skip });
          expect(result.gradNorm).toBe(norm);
          for (const state of taken) {
            const reference = {
              ...({ mode: "adamw", lr: 0.01, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0.1 } as const),
              ...{ amsgrad, maximize: false, biasCorrection: true, moments: formats.moments ?? ("float32" as const) },
            };
            referenceStep(state, reference, clipNorm / norm / 4);
          }
        }
        const { state } = optimizer.stateDict();
        NAMES.forEach((name, i) => {
          const expected = states[i]!;
          expectSameBits(`${name}`, optimizer.param(name), expected.param);
          expectSameBits(`${name} m`, state[name]!.exp_avg, expected.expAvg);
          expectSameBits(`${name} v`, state[name]!.exp_avg_sq, expected.expAvgSq);
          if (amsgrad) expectSameBits(`${name} vmax`, state[name]!.max_exp_avg_sq!, expected.maxExpAvgSq);
          const { copies } = formats;
          if (copies === undefined) return;
          expect(optimizer.copyBits(name)).toEqual(encoded(copies, expected.param));
        });
        optimizer.dispose();
      }
    },
    60_000,
  );

  it("a gradient that is NaN skips the step and changes nothing; zeroGrad and step zero gradients", () => {
    const optimizer = Adam.createSync({ w: ordinary(100, 1) }, { ...formats, amsgrad: true });
    const grads = () => (formats.grads ? optimizer.gradBits("w") : optimizer.grad("w"));
    give(optimizer, "w", formats.grads, ordinary(100, 2));
    optimizer.step();
    const before = { state: optimizer.stateDict(), param: optimizer.param("w").slice() };
    give(optimizer, "w", formats.grads, ordinary(100, 3).fill(Number.NaN, 50, 51));
    const result = optimizer.step({ skipNonFinite: true, zeroGrad: true });
    expect(result).toEqual({ step: 1, skipped: true, gradNorm: Number.NaN });
    expect(optimizer.stateDict()).toEqual(before.state);
    expect(optimizer.param("w")).toEqual(before.param);
    expect(grads().every((x) => x === 0)).toBe(true);
    give(optimizer, "w", formats.grads, ordinary(100, 3));
    expect(grads().some((x) => x !== 0)).toBe(true);
    optimizer.step({ zeroGrad: true });
    expect(grads().every((x) => x === 0)).toBe(true);
    give(optimizer, "w", formats.grads, ordinary(100, 3));
    optimizer.zeroGrad();
    expect(grads().every((x) => x === 0)).toBe(true);
    expect(optimizer.sumOfSquares()).toBe(0);
  });

  it("over the host's memory, by 2-byte aligned pointers: the same bits", () => {
    const own = AdamW.createSync({ w: ordinary(50, 1) }, formats);
    const memory = new WebAssembly.Memory({ initial: 1 });
    new Float32Array(memory.buffer, 2048, 50).set(ordinary(50, 1));
    const bytes = new Uint8Array(memory.buffer);
    bytes.fill(255, 4096);
    const [grad, moment] = [formats.grads ? 4098 : 4100, formats.moments ? 8194 : 8196];
    const at = { length: 50, param: 2048, grad, expAvg: moment, expAvgSq: moment + 1000, copy: 16386 };
    const theirs = AdamW.createSync({ w: at }, { ...formats, memory });
    for (let step = 0; step < 3; step++) {
      for (const optimizer of [own, theirs]) give(optimizer, "w", formats.grads, ordinary(50, 10 + step));
      own.step();
      theirs.step();
    }
    expectSameBits("param", theirs.param("w"), own.param("w"));
    expect(theirs.stateDict()).toEqual(own.stateDict());
    if (formats.copies) expect(theirs.copyBits("w")).toEqual(own.copyBits("w"));
    else expect(bytes.subarray(16386).every((byte) => byte === 255)).toBe(true);
  });
});

describe("bytes of a parameter", () => {
  it.each([
    [16, {}],
    [12, { moments: "bfloat16" }],
    [10, { moments: "bfloat16", grads: "float16" }],
    [12, { moments: "bfloat16", grads: "bfloat16", copies: "float16" }],
    [14, { moments: "bfloat16", grads: "bfloat16", copies: "float16", amsgrad: true }],
  ] as const)("%d: %j", (bytes, options) => {
    const elements = 1 << 22;
    const optimizer = AdamW.createSync({ w: { shape: [elements] } }, options);
    const { byteLength } = optimizer.memory.buffer;
    expect(byteLength).toBeGreaterThanOrEqual(bytes * elements);
    // A page of 64 KiB for what is not used, and a gap before each region.
    expect(byteLength).toBeLessThan(bytes * elements + 2 * 65536);
    optimizer.dispose();
  });

  it.each([
    [357_000_000, { moments: "bfloat16" }],
    [429_000_000, { moments: "bfloat16", grads: "float16" }],
  ] as const)("%d parameters are not too many for 4 GiB, 1 % more are", (elements, options) => {
    const create = (count: number) => () => AdamW.createSync({ w: { shape: [count] } }, options).dispose();
    try {
      create(elements)();
    } catch (error) {
      // A host may have less than it has addresses.
      expect(String(error)).toMatch(/bytes from the engine/);
    }
    expect(create(Math.ceil(elements * 1.01))).toThrow(/at most 4294967296 bytes/);
  });
});

describe("calls for another format", () => {
  const half = () => AdamW.createSync({ w: Float32Array.of(1, 2, 3) }, { grads: "float16", copies: "float16" });
  const whole = () => AdamW.createSync({ w: Float32Array.of(1, 2, 3) });
  const refused = (call: () => unknown, use: RegExp) => {
    expect(call).toThrow(TypeError);
    expect(call).toThrow(expect.objectContaining({ code: "ERR_DTYPE", message: expect.stringMatching(use) }));
  };

  it("are refused with the call to use, and change nothing", () => {
    refused(() => half().grad("w"), /"w".*gradBits/);
    refused(() => whole().gradBits("w"), /"w".*use grad/);
    refused(() => whole().copyBits("w"), /"w".*option "copies"/);
    expect(half().param("w")).toEqual(Float32Array.of(1, 2, 3));
    expect(half().gradBits("w")).toEqual(new Uint16Array(3));
    const invalid = expect.objectContaining({ code: "ERR_INVALID_TYPE" });
    expect(() => half().setGrad("w", new Float32Array(3))).toThrow(invalid);
    expect(() => whole().setGrad("w", new Uint16Array(3))).toThrow(invalid);
    const shape = expect.objectContaining({ code: "ERR_SHAPE_MISMATCH" });
    expect(() => half().setGrad("w", new Uint16Array(4))).toThrow(shape);
    const unknown = expect.objectContaining({ code: "ERR_UNKNOWN_NAME" });
    for (const call of ["gradBits", "copyBits"] as const) expect(() => half()[call]("x")).toThrow(unknown);
  });

  it("so are formats that there are not, and changing one", () => {
    const range = expect.objectContaining({ code: "ERR_OUT_OF_RANGE" });
    const make = (options: object) => () => AdamW.createSync({ w: new Float32Array(1) }, options);
    expect(make({ moments: "float16" })).toThrow(range);
    expect(make({ grads: "float64" })).toThrow(range);
    expect(make({ copies: "float32" })).toThrow(range);
    expect(make({ copies: null })).toThrow(expect.objectContaining({ code: "ERR_INVALID_TYPE" }));
    const [group] = half().paramGroups;
    expect(group).toMatchObject({ grads: "float16", moments: "float32", copies: "float16" });
    const fixed = expect.objectContaining({ code: "ERR_FIXED_OPTION" });
    expect(() => Object.assign(group!, { grads: "bfloat16" })).toThrow(fixed);
    expect(() => Object.assign(group!, { moments: "bfloat16" })).toThrow(fixed);
    Object.assign(group!, { grads: "float16", copies: "float16" });
  });

  it("pointers are 2-byte aligned, and copies are asked for", () => {
    const memory = new WebAssembly.Memory({ initial: 1 });
    const at = { length: 4, param: 1024, grad: 2050, expAvg: 3074, expAvgSq: 4098 };
    const make = (pointers: object, options: AdamOptions) => () =>
      AdamW.createSync({ w: { ...at, ...pointers } }, { moments: "bfloat16", grads: "float16", memory, ...options });
    const misaligned = expect.objectContaining({ code: "ERR_MISALIGNED" });
    expect(make({}, {})).not.toThrow();
    expect(make({ grad: 2051 }, {})).toThrow(misaligned);
    expect(make({ param: 1026 }, {})).toThrow(misaligned);
    expect(make({ copy: 5001 }, { copies: "float16" })).toThrow(misaligned);
    expect(make({}, { copies: "float16" })).toThrow(/params\.w\.copy/);
    expect(make({ copy: 4100 }, { copies: "float16" })).toThrow(expect.objectContaining({ code: "ERR_OVERLAP" }));
  });
});

describe("groups of different formats", () => {
  it("are stepped each as it would be alone; a float32 optimizer takes them, with workers too", () => {
    for (const runtime of [{ threads: 2 }, { kernel: "scalar" } as const]) {
      const groups = CHOICES.map((formats, i) => ({ params: { [`p${i}`]: ordinary(70_000, i) }, ...formats }));
      const together = AdamW.createSync({ first: ordinary(70_000, 99) }, runtime);
      for (let step = 0; step < 4; step++) {
        if (step === 1) for (const group of groups) together.addParamGroup(group);
        together.setGrad("first", ordinary(70_000, step));
        if (step > 0)
          for (const [i, { grads }] of CHOICES.entries())
            give(together, `p${i}`, grads, ordinary(70_000, 50 * step + i));
        together.step();
      }
      const { state } = together.stateDict();
      for (const [i, group] of groups.entries()) {
        const alone = AdamW.createSync([group], { kernel: "simd" });
        for (let step = 1; step < 4; step++) {
          give(alone, `p${i}`, group.grads, ordinary(70_000, 50 * step + i));
          alone.step();
        }
        expectSameBits(`p${i}`, together.param(`p${i}`), alone.param(`p${i}`));
        expect(state[`p${i}`]).toEqual(alone.stateDict().state[`p${i}`]);
        if (group.copies) expect(together.copyBits(`p${i}`)).toEqual(alone.copyBits(`p${i}`));
      }
      const alone = AdamW.createSync({ first: ordinary(70_000, 99) });
      for (let step = 0; step < 4; step++) {
        alone.setGrad("first", ordinary(70_000, step));
        alone.step();
      }
      expectSameBits("first", together.param("first"), alone.param("first"));
      together.dispose();
    }
  });
});

describe("states", () => {
  const steps = (optimizer: Optimizer, from: number, to: number) => {
    for (let step = from; step < to; step++) {
      optimizer.setGrad("w", ordinary(77, step));
      optimizer.step();
    }
  };
  const make = (options: AdamOptions) => AdamW.createSync({ w: ordinary(77, 1) }, { amsgrad: true, ...options });

  it("are float32 and go on bit for bit; of the other format they widen exactly and narrow to nearest", () => {
    const [bfloat16, float32] = [make({ moments: "bfloat16" }), make({})];
    for (const optimizer of [bfloat16, float32]) steps(optimizer, 0, 5);
    const state = bfloat16.stateDict();
    const again = make({ moments: "bfloat16" });
    again.param("w").set(bfloat16.param("w"));
    again.loadStateDict(state);
    for (const optimizer of [bfloat16, again]) steps(optimizer, 5, 40);
    expectSameBits("w", again.param("w"), bfloat16.param("w"));

    const wider = make({});
    wider.loadStateDict(state);
    expect(wider.stateDict()).toEqual(state);

    const narrower = make({ moments: "bfloat16" });
    const given = float32.stateDict();
    narrower.loadStateDict(given);
    for (const key of ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"] as const) {
      const expected = rounded("bfloat16", given.state.w![key]!);
      expectSameBits(key, narrower.stateDict().state.w![key]!, expected);
    }
  });

  it("leave copies as the parameters are; what is written to a parameter is in its copy from the next step on", () => {
    const optimizer = make({ copies: "float16" });
    const copy = () => decoded("float16", optimizer.copyBits("w"));
    const nearest = () => rounded("float16", optimizer.param("w"));
    expect(copy()).toEqual(nearest());
    optimizer.param("w").fill(0.3);
    expect(copy()).not.toEqual(nearest());
    optimizer.loadStateDict(optimizer.stateDict());
    expect(copy()).toEqual(nearest());
    optimizer.param("w").fill(0.7);
    optimizer.step();
    expect(copy()).toEqual(nearest());
  });
});

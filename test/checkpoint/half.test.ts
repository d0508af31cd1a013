/** Checkpoints of groups whose numbers have 16 bits: BF16 tensors, and files of the other width. */
import { type AdamOptions, AdamW, preload } from "fused-adam";
import { encodeCheckpoint, loadCheckpoint, toTorch } from "fused-adam/checkpoint";
import { readSafetensors } from "fused-adam/safetensors";
import { describe, expect, it } from "vitest";
import { expectSameBits } from "../support/bits.js";
import { ordinary } from "../support/data.js";
import { encoded, rounded } from "../support/halves.js";

// Pages load these kernels only when they are asked for.
await preload({ moments: "bfloat16" });

const KEYS = ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"] as const;
// Odd, so that what follows a tensor of 2-byte elements is not 4-byte aligned.
const LENGTHS = { a: 33, b: 7 };

function make(options: AdamOptions): AdamW {
  const params = Object.fromEntries(Object.entries(LENGTHS).map(([name, length]) => [name, ordinary(length, length)]));
  return AdamW.createSync(params, { lr: 0.01, amsgrad: true, ...options });
}

function steps(optimizer: AdamW, from: number, to: number): AdamW {
  for (let step = from; step < to; step++) {
    for (const [name, length] of Object.entries(LENGTHS))
      optimizer.setGrad(name, ordinary(length, 100 * step + length));
    optimizer.step();
  }
  return optimizer;
}

const HALF = { moments: "bfloat16", copies: "float16" } as const;

describe("a checkpoint of bfloat16 moments", () => {
  const saved = steps(make(HALF), 0, 5);
  const bytes = encodeCheckpoint(saved, { params: true });

  it("has BF16 tensors, 2 bytes an element, of the moments' bits, and F32 parameters", () => {
    const { tensors } = readSafetensors(bytes);
    for (const [name, length] of Object.entries(LENGTHS)) {
      expect(tensors[name]).toMatchObject({ dtype: "F32" });
      for (const key of KEYS) {
        const tensor = tensors[`${name}.${key}`]!;
        expect([tensor.dtype, tensor.bytes.length]).toEqual(["BF16", 2 * length]);
        expectSameBits(key, new Float32Array(tensor.toFloat32()), saved.stateDict().state[name]![key]!);
      }
    }
  });

  it("goes on bit for bit, at any alignment of the bytes, and copies are as the parameters", () => {
    const shifted = new Uint8Array(bytes.length + 1);
    shifted.set(bytes, 1);
    const expected = steps(steps(make(HALF), 0, 5), 5, 40);
    for (const file of [bytes, shifted.subarray(1)]) {
      const resumed = make(HALF);
      loadCheckpoint(resumed, file);
      const nearest = encoded("float16", resumed.param("a"));
      expect(resumed.copyBits("a")).toEqual(nearest);
      steps(resumed, 5, 40);
      for (const name of Object.keys(LENGTHS)) expectSameBits(name, resumed.param(name), expected.param(name));
      expect(resumed.stateDict()).toEqual(expected.stateDict());
    }
  });

  it("loads into float32 moments exactly, and float32 moments load into bfloat16 to nearest", () => {
    const wide = make({});
    loadCheckpoint(wide, bytes);
    expect(wide.stateDict()).toEqual(saved.stateDict());
    steps(wide, 5, 9);
    const narrow = make(HALF);
    loadCheckpoint(narrow, encodeCheckpoint(wide));
    for (const name of Object.keys(LENGTHS)) {
      for (const key of KEYS) {
        const given = wide.stateDict().state[name]![key]!;
        const expected = rounded("bfloat16", given);
        expectSameBits(`${name} ${key}`, narrow.stateDict().state[name]![key]!, expected);
      }
    }
  });

  it("is float32 in PyTorch's layout", () => {
    const { state } = toTorch(saved.stateDict(), ["a", "b"]);
    expectSameBits("exp_avg", state[0]!.exp_avg, saved.stateDict().state.a!.exp_avg);
  });
});

/** What tests of checkpoints share. */
import { AdamW, type ErrorCode } from "fused-adam";
import { encodeCheckpoint } from "fused-adam/checkpoint";
import type { SafetensorsSource } from "fused-adam/safetensors";
import { expect } from "vitest";
import { Xxh32 } from "../../src/checkpoint/checksum.js";
import { fillGrads } from "../support/api.js";
import { dyadic, type Optimizer } from "../support/model.js";

/** Small enough to try every bit of its checkpoint. */
export function tiny(): AdamW {
  const groups = [
    { params: { w: { shape: [2, 2], data: dyadic(4, 1) } } },
    { params: { é: dyadic(1, 2) }, amsgrad: true, lr: 0.25 },
  ];
  return AdamW.createSync(groups);
}

export function stepped<T extends Optimizer>(optimizer: T, steps = 3): T {
  for (let i = 0; i < steps; i++) {
    fillGrads(optimizer, i);
    optimizer.step();
  }
  return optimizer;
}

/** What loading must leave alone, or take over, in a form that is quick to compare. */
export interface Snapshot {
  readonly memory: Buffer;
  readonly rest: string;
}

export function snapshot(optimizer: Optimizer): Snapshot {
  return { memory: Buffer.from(Buffer.from(optimizer.memory.buffer)), rest: restOf(optimizer) };
}

export function unchanged(optimizer: Optimizer, before: Snapshot): boolean {
  return Buffer.from(optimizer.memory.buffer).equals(before.memory) && restOf(optimizer) === before.rest;
}

function restOf(optimizer: Optimizer): string {
  const { state, param_groups } = optimizer.stateDict();
  return JSON.stringify([optimizer.names.map((name) => state[name]!.step), param_groups]);
}

/** The error of a call, which must be one of ours: a class, a code, and a message that names what and where. */
export function typedError(call: () => unknown): { name: string; code: ErrorCode; message: string } | undefined {
  try {
    call();
  } catch (error) {
    const { name, code, message } = error as Error & { code: ErrorCode };
    // Not by `expect`, which is slow where this runs a hundred thousand times.
    const typed =
      /^(Range|Type)Error$/.test(name) && /^ERR_/.test(code) && /^".+": expected .+, got .+$/s.test(message);
    if (!typed) throw error;
    return { name, code, message };
  }
  return undefined;
}

/** float32's own error after a few dozen operations: in parameters relative to how far they can have gone. */
const EPSILON = 2 ** -23;

/** Within 16 units in the last place of what `scale` gives. */
export function expectClose(
  got: ArrayLike<number>,
  want: readonly number[],
  scale: (x: number) => number,
  what: string,
): void {
  expect(got.length, what).toBe(want.length);
  want.forEach((x, i) => {
    expect(Math.abs(got[i]! - x), `${what}[${i}]: ${got[i]} for ${x}`).toBeLessThanOrEqual(16 * EPSILON * scale(x));
  });
}

const raw = (dtype: string, shape: number[], ...bytes: number[]) => ({ dtype, shape, bytes: Uint8Array.from(bytes) });

/** Of every size, and some not aligned where they would lie in this order. */
export const TENSORS: Record<string, SafetensorsSource> = {
  flag: raw("BOOL", [3], 1, 0, 1),
  half: raw("BF16", [1], 0x80, 0x3f),
  plain: new Float32Array([1, -2]),
  matrix: { shape: [2, 3], data: Float32Array.of(9, 1, 2, 3, 4, 5, 6, 9).subarray(1, 7) },
  count: raw("I64", [], 7, 0, 0, 0, 0, 0, 0, 0),
  empty: { shape: [0, 5], data: new Float32Array() },
};

/** A file as somebody else might write it: any header text, any data, a length that may lie. */
export function fileOf(header: string | object, data: Uint8Array = new Uint8Array(), length?: bigint): Uint8Array {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(data, 8 + text.length);
  return bytes;
}

// biome-ignore lint/suspicious/noExplicitAny: a header to be spoilt in any way
export type LooseHeader = Record<string, any>;

/** Header and data of a checkpoint. */
export function split(bytes: Uint8Array): { header: LooseHeader; data: Uint8Array } {
  const end = 8 + Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  return { header: JSON.parse(new TextDecoder().decode(bytes.subarray(8, end))), data: bytes.subarray(end) };
}

/** The optimizer's checkpoint without its checksum, after `edit` has had its way with the header. */
export function edited(
  optimizer: Optimizer,
  edit: (header: LooseHeader, data: Float32Array<ArrayBuffer>) => void,
  params = true,
): Uint8Array {
  const { header, data } = split(encodeCheckpoint(optimizer, { params }));
  delete header.__metadata__.checksum;
  const floats = new Float32Array(new Uint8Array(data).buffer);
  edit(header, floats);
  return fileOf(header, new Uint8Array(floats.buffer));
}

/** A checksum in the first metadata entry, made to hold. */
export function signed(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes);
  const at = Buffer.from(copy).indexOf("xxh32:") + 6;
  copy.set(new TextEncoder().encode("00000000"), at);
  copy.set(new TextEncoder().encode(new Xxh32().update(copy).digest()), at);
  return copy;
}

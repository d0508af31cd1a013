import { FORMATS, type Format } from "../checks/formats.js";
import { ADDRESS_COUNT, CONSTANT_COUNT } from "../generated/call.js";
import { toBfloat16 } from "../memory/bfloat16.js";
import { FORMAT_ROWS, type FormatRow } from "./rows.js";
import type { scalarKernels } from "./scalar.js";
import { type Kernels, UPDATE_ROWS, type UpdateKernel } from "./table.js";

/** Elements that are worked on at a time. */
const BLOCK = 1024;

/** Where the block's numbers lie as float32, in bytes: parameters, gradients, and up to three moments. */
const PARAM = 0;
const GRAD = 4 * BLOCK;
const MOMENTS = [8 * BLOCK, 12 * BLOCK, 16 * BLOCK] as const;

/**
 * The kernels in TypeScript that know formats of 16 bits, as assembly/storage.ts has them. Block by block they widen what is there to
 * float32, let the kernels of src/kernels/scalar.ts work on that, and round what has changed.
 *
 * @param scalar makes those; handed in, because this file is loaded apart from them
 */
export function scalarHalfKernels(memory: Pick<WebAssembly.Memory, "buffer">, scalar: typeof scalarKernels): Kernels {
  const base = scalar(memory);
  const block = new Float32Array(5 * BLOCK);
  const words = new Uint32Array(block.buffer);
  const onBlock = scalar(block);
  let floats = new Float32Array(memory.buffer);
  let shorts = new Uint16Array(memory.buffer);
  /** Looks whether the memory has grown. */
  function look(): void {
    if (floats.buffer === memory.buffer) return;
    floats = new Float32Array(memory.buffer);
    shorts = new Uint16Array(memory.buffer);
  }

  /** Widens n numbers into the block. */
  function read(format: Format, from: number, to: number, n: number): void {
    const at = to >>> 2;
    const start = from / bytesOf(format);
    if (format === "float32") block.set(floats.subarray(start, start + n), at);
    else if (format === "bfloat16") for (let i = 0; i < n; i++) words[at + i] = shorts[start + i]! << 16;
    else for (let i = 0; i < n; i++) words[at + i] = fromFloat16(shorts[start + i]!);
  }

  /** Writes moments of the block, of 16 bits stochastically rounded. @param shift where in the hash of m their random bits begin */
  function write(format: Format, from: number, to: number, n: number, seed: number, shift: number): void {
    const at = from >>> 2;
    if (format === "float32") {
      floats.set(block.subarray(at, at + n), to >>> 2);
      return;
    }
    for (let i = 0; i < n; i++) {
      const hash = Math.imul(words[MOMENTS[0] / 4 + i]! + seed, 0x9e3779b1);
      const x = words[at + i]!;
      shorts[(to >>> 1) + i] = isNaNBits(x) ? BFLOAT16_NAN : (x + ((hash >>> shift) & 0xffff)) >>> 16;
    }
  }

  /** Rounds n parameters to nearest. */
  function copy(format: Format, params: number, copies: number, n: number): void {
    look();
    const round = format === "bfloat16" ? toBfloat16 : toFloat16;
    const source = new Uint32Array(memory.buffer, params, n);
    for (let i = 0; i < n; i++) shorts[(copies >>> 1) + i] = round(source[i]!);
  }

  function updateKernel({ moments, grads, amsgrad, gradient }: FormatRow, row: number): UpdateKernel {
    const update = onBlock.update[row % UPDATE_ROWS.length]!;
    const gradBytes = bytesOf(grads);
    const momentBytes = bytesOf(moments);
    return (...args) => {
      const [param, grad, expAvg, expAvgSq, maxExpAvgSq, length, ...constants] = args;
      const [copies = 0, seed = 0, copyFormat = 0] = args.slice(ADDRESS_COUNT + 1 + CONSTANT_COUNT);
      if (row < UPDATE_ROWS.length && copyFormat === 0) return base.update[row]!(...args);
      look();
      const regions = [expAvg, expAvgSq, maxExpAvgSq].slice(0, amsgrad ? 3 : 2);
      for (let from = 0; from < length; from += BLOCK) {
        const n = Math.min(BLOCK, length - from);
        const p = param + 4 * from;
        const g = grad + gradBytes * from;
        read("float32", p, PARAM, n);
        read(grads, g, GRAD, n);
        regions.forEach((address, i) => {
          read(moments, address + momentBytes * from, MOMENTS[i]!, n);
        });
        update(PARAM, GRAD, ...MOMENTS, n, ...constants);
        write("float32", PARAM, p, n, 0, 0);
        if (gradient === "zeroing") new Uint8Array(memory.buffer, g, gradBytes * n).fill(0);
        regions.forEach((address, i) => {
          write(moments, MOMENTS[i]!, address + momentBytes * from, n, seed, i === 0 ? 0 : 16);
        });
        if (copyFormat !== 0) copy(FORMATS[copyFormat]!, p, copies + 2 * from, n);
      }
    };
  }

  function sumSquares(format: Format): Kernels["sumSquares"][number] {
    return (grad, length) => {
      look();
      read(format, grad, 0, length);
      return onBlock.sumSquares[0]!(0, length);
    };
  }

  function flush(values: number, length: number): void {
    look();
    const start = values >>> 1;
    for (let i = start; i < start + length; i++) if ((shorts[i]! & 0x7fff) < 0x80) shorts[i] = 0;
  }

  return {
    kind: "scalar",
    update: FORMAT_ROWS.map(updateKernel),
    sumSquares: FORMATS.map(sumSquares),
    flush: FORMATS.map((format) => (format === "float32" ? base.flush[0]! : flush)),
    copy: FORMATS.map((format) => (params, copies, length) => copy(format, params, copies, length)),
  };
}

const BFLOAT16_NAN = 0x7fc0;
const FLOAT16_NAN = 0x7e00;
const INFINITE = 0x7f800000;

function bytesOf(format: Format): number {
  return format === "float32" ? 4 : 2;
}

/*
 * The functions below take and return bits: those of a float32 as a number from 0 to 2^32 - 1.
 */

function isNaNBits(x: number): boolean {
  return (x & 0x7fffffff) > INFINITE;
}

function fromFloat16(x: number): number {
  const sign = (x & 0x8000) << 16;
  const magnitude = x & 0x7fff;
  if (magnitude >= 0x7c00) return sign | INFINITE | (magnitude << 13);
  if (magnitude >= 0x400) return sign | ((magnitude << 13) + (112 << 23));
  if (magnitude === 0) return sign;
  // Subnormal: shifted until the leading 1 is where a float32 has it.
  const shift = Math.clz32(magnitude) - 8;
  return sign | (((125 - shift) << 23) + (magnitude << shift));
}

function toFloat16(x: number): number {
  if (isNaNBits(x)) return FLOAT16_NAN;
  const sign = (x >>> 16) & 0x8000;
  const magnitude = x & 0x7fffffff;
  if (magnitude >= 143 << 23) return sign | 0x7c00;
  if (magnitude >= 113 << 23) {
    const rebiased = magnitude - (112 << 23);
    return sign | ((rebiased + 0xfff + ((rebiased >>> 13) & 1)) >>> 13);
  }
  // Subnormal as float16: a multiple of 2^-24.
  const shift = 126 - (magnitude >>> 23);
  if (shift > 24) return sign;
  const mantissa = (magnitude & 0x7fffff) | 0x800000;
  const whole = mantissa >>> shift;
  const twice = (mantissa & ((1 << shift) - 1)) * 2;
  const unit = 1 << shift;
  return sign | (twice > unit || (twice === unit && whole % 2 === 1) ? whole + 1 : whole);
}

import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { it } from "vitest";
import { FORMAT_ROWS } from "../../src/kernels/rows.js";
import { scalarKernels } from "../../src/kernels/scalar.js";
import { scalarHalfKernels } from "../../src/kernels/scalarHalf.js";
import type { Kernels, UpdateKernel } from "../../src/kernels/table.js";
import { fromSource, unless } from "./host.js";

export const MODULE_NAMES = [
  "simd",
  "simd-shared",
  "relaxed",
  "relaxed-shared",
  "half-simd",
  "half-simd-shared",
  "half-relaxed",
  "half-relaxed-shared",
] as const;
export type ModuleName = (typeof MODULE_NAMES)[number];

/** A raw module, of the build that is tested. */
export function wasmBytes(name: ModuleName): Uint8Array<ArrayBuffer> {
  const folder = fromSource ? "build" : "dist";
  return new Uint8Array(readFileSync(new URL(`../../${folder}/wasm/${name}.wasm`, import.meta.url)));
}

/**
 * Whether this engine runs relaxed SIMD. Node 20 has it behind a flag, which this sets (for the process: a test file
 * has one of its own); without it the relaxed kernels would go untested on the oldest Node there is support for.
 */
export function enableRelaxed(): boolean {
  if (!WebAssembly.validate(wasmBytes("relaxed"))) setFlagsFromString("--experimental-wasm-relaxed-simd");
  return WebAssembly.validate(wasmBytes("relaxed"));
}

/** Why there is no relaxed SIMD, or false. */
export function noRelaxed(): string | false {
  return !enableRelaxed() && "needs relaxed SIMD";
}

/** As `it.each`, of rows that begin with what kernels run: those of relaxed kernels are left out where there are none. */
export function eachKind<T extends readonly [string, ...unknown[]]>(rows: readonly T[]) {
  const relaxed = (row: T) => row[0].includes("relaxed");
  return (title: string, test: (...row: T) => unknown) => {
    for (const row of rows) it.each([row])(title, unless(relaxed(row) && noRelaxed()), test as never);
  };
}

/** A raw module's kernels, instantiated without the package: by hand, as another library would. */
export function rawKernels(name: ModuleName, memory: WebAssembly.Memory): Kernels {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(wasmBytes(name)), { env: { memory } });
  const pass = <F>(name: string) => ["", "_float16", "_bfloat16"].map((suffix) => exports[name + suffix] as F);
  return {
    kind: name.includes("relaxed") ? "relaxed" : "simd",
    update: FORMAT_ROWS.map((row) => exports[row.name] as UpdateKernel),
    sumSquares: pass("sum_squares"),
    flush: pass("flush"),
    copy: pass("copy"),
  };
}

export type RawKind = "simd" | "relaxed" | "scalar";

/** Kernels of a kind over an unshared memory. */
export function kernelsOf(kind: RawKind, memory: WebAssembly.Memory, half = false): Kernels {
  if (half) return kind === "scalar" ? scalarHalfKernels(memory, scalarKernels) : rawKernels(`half-${kind}`, memory);
  return kind === "scalar" ? scalarKernels(memory) : rawKernels(kind, memory);
}

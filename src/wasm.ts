import { instantiateSync } from "@assemblyscript/loader";
import { fail } from "./errors.js";
import { MODULES } from "./generated/modules.js";
import { type Kernels, UPDATE_ROWS, type UpdateKernel } from "./kernels.js";
import { scalarKernels } from "./scalar.js";
import type { KernelChoice, KernelKind } from "./types.js";
import { warnOnce } from "./warn.js";

type ModuleName = keyof typeof MODULES;
type WasmKind = Exclude<KernelKind, "scalar">;

const compiled = new Map<ModuleName, WebAssembly.Module>();

/** The compiled module for this choice and memory, or undefined for the TypeScript kernels. Waits without blocking. */
export async function compile(choice: KernelChoice, shared: boolean): Promise<WebAssembly.Module | undefined> {
  const name = moduleFor(choice, shared);
  if (name === undefined || compiled.has(name)) return compiled.get(name!);
  try {
    compiled.set(name, await WebAssembly.compile(bytesOf(name)));
  } catch (cause) {
    fallBack(choice, cause);
  }
  return compiled.get(name);
}

/** As `compile`, at once. */
export function compileSync(choice: KernelChoice, shared: boolean): WebAssembly.Module | undefined {
  const name = moduleFor(choice, shared);
  if (name === undefined || compiled.has(name)) return compiled.get(name!);
  try {
    compiled.set(name, new WebAssembly.Module(bytesOf(name)));
  } catch (cause) {
    fallBack(choice, cause);
  }
  return compiled.get(name);
}

export function isShared(memory: WebAssembly.Memory): boolean {
  return Object.prototype.toString.call(memory.buffer) === "[object SharedArrayBuffer]";
}

/** Kernels over `memory`: the module's, or without one TypeScript's. */
export function kernelsOver(
  memory: WebAssembly.Memory,
  module: WebAssembly.Module | undefined,
  kind: KernelKind,
): Kernels {
  if (module === undefined) return scalarKernels(memory);
  // The loader adds to the imports it is given, and wraps every export: what runs are the instance's own.
  const exports = instantiateSync(module, { env: { memory } }).instance.exports;
  const get = <F>(name: string) => exports[name] as F;
  return {
    kind,
    update: UPDATE_ROWS.map(({ name }) => get<UpdateKernel>(name)),
    sumSquares: get("sum_squares"),
    flush: get("flush"),
  };
}

/** The kind that a choice means once it has, or has not, led to a module. */
export function kindOf(choice: KernelChoice, module: WebAssembly.Module | undefined): KernelKind {
  if (module === undefined) return "scalar";
  return choice === "relaxed" ? "relaxed" : "simd";
}

/** Which module the choice asks for; undefined: none, because TypeScript was asked for or "auto" finds no SIMD. */
function moduleFor(choice: KernelChoice, shared: boolean): ModuleName | undefined {
  if (choice === "scalar") return undefined;
  const kind: WasmKind = choice === "relaxed" ? "relaxed" : "simd";
  const name: ModuleName = shared ? `${kind}-shared` : kind;
  if (compiled.has(name)) return name;
  if (typeof WebAssembly === "object" && WebAssembly.validate(bytesOf(name))) return name;
  if (choice === "auto") return undefined;
  unavailable(choice, `an engine without ${kind === "simd" ? "WebAssembly SIMD" : "relaxed WebAssembly SIMD"}`);
}

/** The module is valid, so compiling was forbidden, by a content security policy as a rule. */
function fallBack(choice: KernelChoice, cause: unknown): void {
  const reason = `a host that forbids compiling WebAssembly (${String(cause)}); script-src needs 'wasm-unsafe-eval'`;
  if (choice !== "auto") unavailable(choice, reason, cause);
  warnOnce(`running the TypeScript kernels, several times slower, on ${reason}`);
}

function unavailable(choice: KernelChoice, got: string, cause?: unknown): never {
  fail(Error, "ERR_KERNEL_UNAVAILABLE", "kernel", `an engine that can run "${choice}"`, got, cause);
}

function bytesOf(name: ModuleName): Uint8Array<ArrayBuffer> {
  const hex = MODULES[name];
  return Uint8Array.from({ length: hex.length / 2 }, (_, i) => Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16));
}

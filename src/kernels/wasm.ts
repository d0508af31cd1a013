import { fail } from "../checks/errors.js";
import type { KernelChoice, KernelKind } from "../checks/types.js";
import { warnOnce } from "../checks/warn.js";
import { MODULES, SHARED_IMPORT, UNSHARED_IMPORT } from "../generated/modules.js";
import { instantiate } from "./loader.js";
import { scalarKernels } from "./scalar.js";
import { type Kernels, kernelsFrom } from "./table.js";

/** A module that this engine accepts. */
export interface Module {
  readonly kind: keyof typeof MODULES;
  readonly bytes: Uint8Array<ArrayBuffer>;
  compiled?: WebAssembly.Module;
}

const modules = new Map<string, Module>();
/** The smallest module: magic and version. */
const EMPTY = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);

/** The compiled module for this choice and memory, or undefined for the TypeScript kernels. Waits without blocking. */
export async function compile(choice: KernelChoice, shared: boolean): Promise<Module | undefined> {
  const module = moduleFor(choice, shared);
  try {
    if (module !== undefined) module.compiled ??= await WebAssembly.compile(module.bytes);
    if (module !== undefined) probe();
  } catch (cause) {
    return fallBack(choice, cause);
  }
  return module;
}

/** As `compile`, at once. */
export function compileSync(choice: KernelChoice, shared: boolean): Module | undefined {
  const module = moduleFor(choice, shared);
  try {
    if (module !== undefined) module.compiled ??= new WebAssembly.Module(module.bytes);
    if (module !== undefined) probe();
  } catch (cause) {
    return fallBack(choice, cause);
  }
  return module;
}

/** Throws where a policy forbids WebAssembly: WebKit compiles all the same, and refuses to instantiate. */
function probe(): void {
  new WebAssembly.Instance(new WebAssembly.Module(EMPTY));
}

/** Kernels over `memory`: the module's, or without one TypeScript's. */
export function kernelsOver(memory: WebAssembly.Memory, module: Module | undefined): Kernels {
  if (module === undefined) return scalarKernels(memory);
  return kernelsFrom(module.kind, instantiate(module.compiled!, memory).exports);
}

/** The module the choice asks for; undefined: none, because TypeScript was asked for or "auto" finds no SIMD. */
function moduleFor(choice: KernelChoice, shared: boolean): Module | undefined {
  if (choice === "scalar") return undefined;
  const kind: KernelKind = choice === "relaxed" ? "relaxed" : "simd";
  const key = shared ? `${kind}-shared` : kind;
  const known = modules.get(key);
  if (known?.compiled !== undefined) return known;
  const module: Module = { kind, bytes: decode(kind, shared) };
  if (typeof WebAssembly === "object" && WebAssembly.validate(module.bytes)) {
    modules.set(key, module);
    return module;
  }
  if (choice === "auto") return undefined;
  unavailable(choice, `an engine without ${kind === "simd" ? "WebAssembly SIMD" : "relaxed WebAssembly SIMD"}`);
}

/** The module is valid, so compiling was forbidden, by a content security policy as a rule. */
function fallBack(choice: KernelChoice, cause: unknown): undefined {
  const reason = "a host that forbids compiling WebAssembly; script-src needs 'wasm-unsafe-eval'";
  if (choice !== "auto") unavailable(choice, `${reason} (${String(cause)})`, cause);
  warnOnce(`running the TypeScript kernels, several times slower, on ${reason}`, cause);
}

function unavailable(choice: KernelChoice, got: string, cause?: unknown): never {
  fail(Error, "ERR_KERNEL_UNAVAILABLE", "kernel", `an engine that can run "${choice}"`, got, cause);
}

/** A module for shared memory is the other one but for the memory it imports; the build sees to that. */
function decode(kind: keyof typeof MODULES, shared: boolean): Uint8Array<ArrayBuffer> {
  const hex = shared ? MODULES[kind].replace(UNSHARED_IMPORT, SHARED_IMPORT) : MODULES[kind];
  const bytes = new Uint8Array(hex.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

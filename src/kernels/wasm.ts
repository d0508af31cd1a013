import { fail } from "../checks/errors.js";
import type { KernelChoice } from "../checks/types.js";
import { warnOnce } from "../checks/warn.js";
import { instantiate } from "./loader.js";
import { bytesOf, halves, isLoaded, load, type ModuleKind } from "./modules.js";
import { scalarKernels } from "./scalar.js";
import { type Kernels, kernelsFrom } from "./table.js";

/** A module that this engine accepts. */
export interface Module {
  readonly kind: "simd" | "relaxed";
  /** Undefined where the host has compiled it. */
  readonly bytes: Uint8Array<ArrayBuffer> | undefined;
  compiled?: WebAssembly.Module;
}

const modules = new Map<string, Module>();
/** The smallest module: magic and version. */
const EMPTY = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);

/** The compiled module for this choice, formats and memory, or undefined for the TypeScript kernels. Waits without blocking. */
export async function compile(choice: KernelChoice, half: boolean, shared: boolean): Promise<Module | undefined> {
  await loadFor(choice, half);
  const module = moduleFor(choice, half, shared);
  try {
    if (module !== undefined) {
      module.compiled ??= await WebAssembly.compile(module.bytes!);
      probe();
    }
  } catch (cause) {
    return fallBack(choice, cause);
  }
  return module;
}

/** As `compile`, at once, which only a module can be that is loaded already. */
export function compileSync(choice: KernelChoice, half: boolean, shared: boolean): Module | undefined {
  const module = moduleFor(choice, half, shared);
  try {
    if (module !== undefined) {
      module.compiled ??= new WebAssembly.Module(module.bytes!);
      probe();
    }
  } catch (cause) {
    return fallBack(choice, cause);
  }
  return module;
}

/** Throws where a policy forbids WebAssembly: WebKit compiles all the same, and refuses to instantiate. */
function probe(): void {
  new WebAssembly.Instance(new WebAssembly.Module(EMPTY));
}

/** Loads what `compileSync` needs for this choice. */
export async function loadFor(choice: KernelChoice, half: boolean): Promise<void> {
  try {
    await load(nameOf(choice, half));
  } catch (cause) {
    unavailable(choice, `a module that could not be loaded (${String(cause)})`, cause);
  }
}

/** Kernels over `memory`: the module's, or without one TypeScript's. */
export function kernelsOver(memory: WebAssembly.Memory, module: Module | undefined, half: boolean): Kernels {
  if (module !== undefined) {
    const { kind, bytes, compiled } = module;
    return { ...kernelsFrom(kind, instantiate(compiled!, memory).exports), module: bytes ?? compiled };
  }
  if (!half) return scalarKernels(memory);
  const { scalarHalfKernels, WORKER } = halves();
  return { ...scalarHalfKernels(memory, scalarKernels), worker: WORKER };
}

function kindOf(choice: KernelChoice): Module["kind"] {
  return choice === "relaxed" ? "relaxed" : "simd";
}

/** The module that has these kernels. @param half whether for formats of 16 bits, too */
export function nameOf(choice: KernelChoice, half: boolean): ModuleKind {
  return half ? `half-${kindOf(choice)}` : kindOf(choice);
}

/** @throws Error `ERR_KERNEL_UNAVAILABLE` if it is not loaded */
export function checkLoaded(name: ModuleKind): void {
  if (isLoaded(name)) return;
  const options = name.startsWith("half") ? "moments, grads, copies" : `kernel: "${name}"`;
  const expected = `kernels that are loaded (await preload({ ${options} }), or create in place of createSync)`;
  fail(Error, "ERR_KERNEL_UNAVAILABLE", "kernel", expected, `"${name}"`);
}

/** The module the choice asks for; undefined: none, because TypeScript was asked for or "auto" finds no SIMD. */
function moduleFor(choice: KernelChoice, half: boolean, shared: boolean): Module | undefined {
  const name = nameOf(choice, half);
  checkLoaded(name);
  if (choice === "scalar") return undefined;
  const kind = kindOf(choice);
  const key = shared ? `${name}-shared` : name;
  const known = modules.get(key);
  if (known?.compiled !== undefined) return known;
  const module: Module = { kind, bytes: bytesOf(name, shared) };
  if (typeof WebAssembly === "object" && WebAssembly.validate(module.bytes!)) {
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

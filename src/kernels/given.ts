import { bare } from "../checks/builtins.js";
import { fail } from "../checks/errors.js";
import type { KernelChoice } from "../checks/types.js";
import { isShared } from "../memory/shared.js";
import { instantiate } from "./loader.js";
import { HALF, type KernelExports, kernelNames } from "./table.js";
import { type Module, nameOf } from "./wasm.js";

/** A module that the host has compiled. */
export interface GivenModule extends Module {
  /** Whether it is for memory that is shared. */
  readonly shared: boolean;
}

/** An export that tells modules apart. */
const IS_RELAXED = "is_relaxed";

/**
 * Checks that it is one of this package's modules, for the kernels that were asked for, formats of 16 bits if `half`, and for the host's
 * memory, if it has given one.
 * "relaxed" has to be asked for by name, because its bits are other bits.
 */
export function checkModule(
  compiled: WebAssembly.Module,
  choice: KernelChoice,
  half: boolean,
  memory: WebAssembly.Memory | undefined,
): GivenModule {
  if (choice === "scalar") refuse(`none with kernel "scalar"`, "one");
  const exported = WebAssembly.Module.exports(compiled).map(({ name }) => name);
  const missing = [...kernelNames(), IS_RELAXED].find((name) => !exported.includes(name));
  if (missing !== undefined) refuse(OURS, `one without the export ${missing}`);

  const unshared = exportsOver(compiled, { initial: 0 });
  const functions = unshared ?? exportsOver(compiled, { initial: 0, maximum: 1, shared: true });
  if (functions === undefined) refuse(OURS, "one that does not run over a memory of this host");
  const isHalf = HALF in functions;
  const kind = (functions[IS_RELAXED] as () => number)() === 0 ? "simd" : "relaxed";
  // A module for formats of 16 bits has float32 as well.
  const [expected, name] = [nameOf(choice, half || isHalf), nameOf(kind, isHalf)];
  if (name !== expected) refuse(`fused-adam/wasm/${expected}.wasm for kernel "${choice}"`, `${name}.wasm`);
  const shared = unshared === undefined;
  if (memory !== undefined && shared !== isShared(memory)) {
    const [wanted, got] = shared ? [name, `${name}-shared`] : [`${name}-shared`, name];
    refuse(`fused-adam/wasm/${wanted}.wasm for this options.memory`, `${got}.wasm`);
  }
  return { kind, bytes: undefined, compiled, shared };
}

const OURS = "a module of fused-adam/wasm/, of this version";

function refuse(expected: string, got: string): never {
  fail(RangeError, "ERR_OUT_OF_RANGE", "module", expected, got);
}

/** Exports of an instance over a memory of its own; undefined where it does not fit it, or the host has no such memory. */
function exportsOver(module: WebAssembly.Module, memory: WebAssembly.MemoryDescriptor): KernelExports | undefined {
  try {
    return instantiate(module, new WebAssembly.Memory(bare(memory))).exports;
  } catch {
    return undefined;
  }
}

// biome-ignore-all assist/source/organizeImports: the order matters
import { lowerShield } from "./shield.js";

// Between the two, because modules are evaluated in the order of their imports.
import { instantiateSync } from "@assemblyscript/loader";

lowerShield();

/** An instance over this memory. The loader adds to the imports it is given, and wraps every export: what runs are the instance's own. */
export function instantiate(module: WebAssembly.Module, memory: WebAssembly.Memory): WebAssembly.Instance {
  const imports = { env: { memory } };
  // What another realm has compiled, the loader would compile once more.
  if (!(module instanceof WebAssembly.Module)) return new WebAssembly.Instance(module, imports);
  return instantiateSync(module, imports).instance;
}

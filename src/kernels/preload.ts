import { checkOptions, readRuntime } from "../checks/runtime.js";
import type { RuntimeOptions } from "../checks/types.js";
import { loadFor } from "./wasm.js";

/**
 * Loads kernels that pages load only when they are asked for: `"relaxed"`. `create` does so by itself. `createSync`, and the
 * optimizers of `fused-adam/tfjs` and `fused-adam/jax`, cannot wait: in a page, call this before. Node, Deno and Bun have all kernels
 * from the start.
 *
 * @param options as those of `createSync`; only `kernel` is looked at
 * @throws (rejects with) Error `ERR_KERNEL_UNAVAILABLE` if they cannot be loaded; TypeError, RangeError for an option that is not legal
 */
export async function preload(options?: RuntimeOptions): Promise<void> {
  await loadFor(readRuntime(checkOptions(options)).kernel);
}

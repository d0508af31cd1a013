import { checkOptions, readRuntime } from "../checks/runtime.js";
import type { RuntimeOptions } from "../checks/types.js";
import { loadFor } from "./wasm.js";

/**
 * Loads kernels that a bundle keeps apart until they are asked for, for those who cannot wait later: afterwards `createSync`, and
 * the optimizers of `fused-adam/tfjs` and `fused-adam/jax`, can be given the same `kernel`. Only `"relaxed"` kernels are kept apart.
 *
 * @param options as those of `createSync`; only `kernel` is looked at
 * @throws (rejects with) Error `ERR_KERNEL_UNAVAILABLE` if they cannot be loaded; TypeError, RangeError for an option that is not legal
 */
export async function preload(options?: RuntimeOptions): Promise<void> {
  await loadFor(readRuntime(checkOptions(options)).kernel);
}

import { ADAM_DEFAULTS } from "../checks/defaults.js";
import { readHyper } from "../checks/hyper.js";
import { checkOptions, readRuntime } from "../checks/runtime.js";
import type { AdamOptions, RuntimeOptions } from "../checks/types.js";
import { isHalf } from "./table.js";
import { loadFor } from "./wasm.js";

/**
 * Loads kernels that pages load only when they are asked for: `"relaxed"`, and those for numbers of 16 bits. `create` does so by itself. `createSync`, and the
 * optimizers of `fused-adam/tfjs` and `fused-adam/jax`, cannot wait: in a page, call this before. Node, Deno and Bun have all kernels
 * from the start.
 *
 * @param options as those of `createSync`; `kernel`, `moments`, `grads` and `copies` are looked at
 * @throws (rejects with) Error `ERR_KERNEL_UNAVAILABLE` if they cannot be loaded; TypeError, RangeError for an option that is not legal
 */
export async function preload(options?: AdamOptions & RuntimeOptions): Promise<void> {
  const checked = checkOptions(options);
  await loadFor(readRuntime(checked).kernel, isHalf(readHyper(checked, ADAM_DEFAULTS)));
}

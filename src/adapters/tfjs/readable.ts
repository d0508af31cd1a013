import { fail } from "../../checks/errors.js";
import type { KernelBackend, Tensor, Tf } from "./types.js";

/**
 * The backend that is never read synchronously: tfjs reads it through a canvas, which returns zeros on some machines and
 * takes the page's device with it. Known by its name, because trying it does the damage.
 */
export const WEBGPU = "webgpu";

/** A tensor's data on the webgpu backend; `values` is what an asynchronous read has left on the host. */
interface GpuBackend extends KernelBackend {
  readonly tensorMap?: { get(dataId: object): { readonly values: unknown } };
}

/**
 * Checks that tensors can be moved to the backend of the moment without a synchronous read of webgpu.
 *
 * @throws Error `ERR_BACKEND`
 */
export function checkReadable(tf: Tf, label: string, tensors: Iterable<Tensor>): void {
  const { registry, state } = tf.engine();
  const gpu = registry[WEBGPU] as GpuBackend | undefined;
  if (gpu === undefined || gpu === tf.backend()) return;
  for (const { dataId } of tensors) {
    if (state.tensorInfo.get(dataId)?.backend !== gpu) continue;
    if (gpu.tensorMap?.get(dataId).values == null) {
      const expected = "values that were read (await tensor.data()) before they leave webgpu";
      fail(Error, "ERR_BACKEND", label, expected, "some that are there alone and cannot be read synchronously");
    }
  }
}

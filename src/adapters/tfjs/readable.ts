import { fail } from "../../checks/errors.js";
import { isLost } from "./placements/gpu/lost.js";
import { cached, type GpuData } from "./placements/gpu/watch.js";
import type { KernelBackend, Tensor, Tf } from "./types.js";

/**
 * The backend that is never read synchronously: tfjs reads it through a canvas, which returns zeros on some machines and
 * takes the page's device with it. Known by its name, because trying it does the damage.
 */
export const WEBGPU = "webgpu";

/** A tensor's data on a GPU; `values` is what was read from there and is still so. */
interface GpuBackend extends KernelBackend {
  readonly tensorMap?: { get(dataId: object): GpuData };
  readonly texData?: { get(dataId: object): GpuData };
}

/**
 * Checks that tensors can be moved to the backend of the moment: without a synchronous read of webgpu, and not from a device
 * that is lost.
 *
 * @throws Error `ERR_BACKEND`
 */
export function checkReadable(tf: Tf, label: string, tensors: Iterable<Tensor>): void {
  const { registry, state } = tf.engine();
  for (const { dataId } of tensors) {
    const backend = state.tensorInfo.get(dataId)?.backend as GpuBackend | undefined;
    if (backend === undefined || backend === tf.backend()) continue;
    if (backend !== registry[WEBGPU] && !isLost(backend)) continue;
    const data = (backend.tensorMap ?? backend.texData)?.get(dataId);
    if (data === undefined || cached(data) == null) {
      const expected = "values that were read (await optimizer.readable()) before they leave a GPU";
      fail(Error, "ERR_BACKEND", label, expected, "some that are there alone and cannot be read synchronously");
    }
  }
}

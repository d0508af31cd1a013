import { fail } from "../../../../checks/errors.js";
import type { KernelBackend } from "../../types.js";

/** A backend's device: a WebGPU device or a WebGL context. */
interface DeviceOwner extends KernelBackend {
  readonly device?: { readonly lost: Promise<{ readonly message: string }> };
  readonly gpgpu?: { readonly gl: WebGL2RenderingContext };
}

class Loss {
  #reason: string | undefined;
  readonly #gl: WebGL2RenderingContext | undefined;
  /** Resolves once the device is lost. */
  readonly told: Promise<void>;

  constructor({ device, gpgpu }: DeviceOwner) {
    this.#gl = gpgpu?.gl;
    const said =
      device?.lost.then(({ message }) => message) ??
      new Promise<string>((resolve) => {
        this.#gl?.canvas.addEventListener("webglcontextlost", () => resolve(""));
      });
    this.told = said.then((message) => {
      this.#reason = message;
    });
  }

  get reason(): string | undefined {
    if (this.#gl?.isContextLost()) this.#reason ??= "";
    return this.#reason;
  }
}

const losses = new WeakMap<KernelBackend, Loss>();

function lossOf(backend: KernelBackend): Loss {
  const loss = losses.get(backend) ?? new Loss(backend);
  losses.set(backend, loss);
  return loss;
}

/** Whether the backend's device is gone, with all that was on it. */
export function isLost(backend: KernelBackend): boolean {
  return lossOf(backend).reason !== undefined;
}

/** @throws Error `ERR_BACKEND` if the device is gone */
export function checkDevice(name: string, backend: KernelBackend): void {
  const { reason } = lossOf(backend);
  if (reason === undefined) return;
  const got = `one that was lost${reason && ` (${reason})`}: moments are as getWeights() last saw them; go on on another backend`;
  fail(Error, "ERR_BACKEND", name, "a device that is there", got);
}

/** What a device is asked for, or undefined once it is lost: not every backend then answers. */
export function unlessLost<T>(backend: KernelBackend, asked: Promise<T>): Promise<T | undefined> {
  const { told } = lossOf(backend);
  return Promise.race([
    told.then(() => undefined),
    asked.catch(async (error) => {
      // The device's end may be told after the failure that came of it.
      await Promise.race([told, new Promise((resolve) => setTimeout(resolve, 100))]);
      if (isLost(backend)) return undefined;
      throw error;
    }),
  ]);
}

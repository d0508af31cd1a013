/** The real TensorFlow.js on the backends that Node has, and one that keeps its tensors to itself, as GPU backends do. */
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { MathBackendCPU } from "@tensorflow/tfjs-backend-cpu";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import * as core from "@tensorflow/tfjs-core";
import * as layers from "@tensorflow/tfjs-layers";

/** As `import * as tf from "@tensorflow/tfjs"`. */
export const tf = { ...core, ...layers };
export type { Tensor, Variable } from "@tensorflow/tfjs-core";

core.env().set("IS_NODE", true);
const wasm = createRequire(import.meta.url).resolve("@tensorflow/tfjs-backend-wasm");
setWasmPaths(`${dirname(wasm)}/`);

/** Arrays that cannot be exchanged, and reads that are copies. */
class Opaque extends MathBackendCPU {
  reads = 0;
  writes = 0;

  override write(...args: Parameters<MathBackendCPU["write"]>): object {
    this.writes++;
    return this.#seal(super.write(...args));
  }

  override move(...args: Parameters<MathBackendCPU["move"]>): void {
    super.move(...args);
    this.#seal(args[0]);
  }

  override readSync(dataId: object) {
    this.reads++;
    const values = super.readSync(dataId).slice() as Float32Array;
    return this.blind ? values.fill(0) : values;
  }

  /** Reads zeros, as tfjs's webgpu backend does on some machines. */
  blind = false;

  #seal(dataId: object): object {
    Object.defineProperty(this.data.get(dataId), "values", { writable: false });
    return dataId;
  }
}

export const BACKENDS = ["cpu", "wasm", "wasm-plain", "opaque"] as const;
export type BackendName = (typeof BACKENDS)[number];

const known = new Set<string>();

/** Makes a backend the one that tfjs runs on. */
export async function use(name: BackendName): Promise<void> {
  if (!known.has(name)) {
    known.add(name);
    if (name === "wasm" || name === "wasm-plain") core.env().set("WASM_HAS_SIMD_SUPPORT", name === "wasm");
    // tfjs says in the console that it runs in Node.
    const { warn } = console;
    console.warn = (...args) => String(args[0]).includes("Node.js") || warn(...args);
    if (name === "wasm-plain") {
      core.registerBackend(name, core.findBackendFactory("wasm"));
      core.copyRegisteredKernels("wasm", name);
    }
    if (name === "opaque") {
      core.registerBackend(name, () => new Opaque());
      core.copyRegisteredKernels("cpu", name);
    }
    await core.setBackend(name);
    core.dispose(core.add(1, 1));
    console.warn = warn;
  }
  await core.setBackend(name);
}

/** A second opaque backend, whose reads are wrong. */
export async function useBlind(): Promise<void> {
  await use("opaque");
  core.registerBackend("blind", () => Object.assign(new Opaque(), { blind: true }));
  core.copyRegisteredKernels("cpu", "blind");
  await core.setBackend("blind");
}

/**
 * A third one, which has the name of the backend that must not be read synchronously. `fetched` holds the data whose values an
 * asynchronous read left on the host.
 */
class Unreadable extends Opaque {
  readonly fetched = new Set<object>();
  readonly tensorMap = { get: (dataId: object) => ({ values: this.fetched.has(dataId) ? true : null }) };
}

export async function useUnreadable(): Promise<Unreadable> {
  if (core.findBackendFactory("webgpu") === null) {
    core.registerBackend("webgpu", () => new Unreadable());
    core.copyRegisteredKernels("cpu", "webgpu");
  }
  await core.setBackend("webgpu");
  const backend = core.backend() as Unreadable;
  backend.reads = 0;
  return backend;
}

/** How many tensors the opaque backend has handed out and taken in. */
export function traffic(): { reads: number; writes: number } {
  const { reads, writes } = core.backend() as Opaque;
  return { reads, writes };
}

/** The array or the stretch of heap that a tensor's data is, of this backend; nothing of the adapter. */
export function storage(tensor: core.Tensor): { buffer: ArrayBufferLike; byteOffset: number } {
  // biome-ignore lint/suspicious/noExplicitAny: internals of tfjs
  const backend = core.backend() as any;
  if (backend instanceof MathBackendCPU) return (backend.data.get(tensor.dataId) as { values: Float32Array }).values;
  return { buffer: backend.wasm.HEAPU8.buffer, byteOffset: backend.getMemoryOffset(tensor.dataId) };
}

/** What the comparison needs of TensorFlow.js, in a chunk of its own that is loaded on demand. */
import "@tensorflow/tfjs-backend-cpu";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import plain from "@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm.wasm?url";
import simd from "@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm?url";
import { env } from "@tensorflow/tfjs-core";

// What the comparison calls, and what fused-adam/tfjs calls.
export {
  add,
  backend,
  engine,
  env,
  getBackend,
  getKernel,
  matMul,
  Optimizer,
  scalar,
  serialization,
  setBackend,
  slice1d,
  tensor,
  tensor1d,
  tidy,
  train,
  variable,
  version_core,
  zeros,
} from "@tensorflow/tfjs-core";

/** To be called before a backend is chosen. */
export function configureWasm(): void {
  // One thread, like the others. With more, TensorFlow.js would start workers from within this one.
  env().set("WASM_HAS_MULTITHREAD_SUPPORT", false);
  setWasmPaths({
    "tfjs-backend-wasm.wasm": plain,
    "tfjs-backend-wasm-simd.wasm": simd,
    "tfjs-backend-wasm-threaded-simd.wasm": simd,
  });
}

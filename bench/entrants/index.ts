import { enableRelaxed } from "../../test/support/wasm.js";
import { compileNative } from "../native/process.js";
import type { Entrant } from "./entrant.js";
import { jaxEntrant } from "./jax.js";
import { loadStoreEntrant, sqrtDivEntrant } from "./limits.js";
import { loopEntrant } from "./loop.js";
import { nativeEntrant } from "./native.js";
import { packageEntrant } from "./package.js";
import { tensorflowEntrant } from "./tensorflow.js";

const MI = 1 << 20;
const ENOUGH = { length: 16 * MI, reason: "its ratio to the others no longer changes" };

/** The participants that run on this machine, and a note on each that does not. */
export function entrants(): { readonly list: readonly Entrant[]; readonly notes: readonly string[] } {
  const native = compileNative();
  const relaxed = enableRelaxed();
  const notes = [
    "reason" in native ? `C++: left out, ${native.reason}` : `C++: ${native.version}`,
    relaxed
      ? "fused-adam relaxed: behind --experimental-wasm-relaxed-simd in Node 20"
      : "fused-adam relaxed: left out, this engine has no relaxed SIMD",
  ];
  const list = [
    packageEntrant("simd", 1),
    packageEntrant("simd", 2),
    ...(relaxed ? [packageEntrant("relaxed", 1, ENOUGH), packageEntrant("relaxed", 2, ENOUGH)] : []),
    packageEntrant("scalar", 1, ENOUGH),
    packageEntrant("scalar", 2, ENOUGH),
    loopEntrant,
    tensorflowEntrant("cpu", { length: 64 * 1024, reason: "a step over 1 Mi takes 0.2 to 0.5 s" }),
    tensorflowEntrant("wasm", { length: 16 * MI, reason: "its tensors are in one heap of at most 2 GiB" }),
    jaxEntrant,
    ...("reason" in native
      ? []
      : [nativeEntrant("adamw", 1), nativeEntrant("adamw", 2), nativeEntrant("load_store", 2)]),
    loadStoreEntrant,
    sqrtDivEntrant,
  ];
  return { list, notes };
}

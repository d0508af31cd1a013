import { readFileSync } from "node:fs";
import { instantiateSync } from "@assemblyscript/loader";

/** What bench/assembly exports: addresses in bytes, lengths in elements, in multiples of 16. */
export interface Passes {
  load_store(param: number, grad: number, expAvg: number, expAvgSq: number, length: number): number;
  sqrt_div(values: number, block: number, length: number): number;
  scale(values: number, factor: number, length: number): void;
}

export function passesOver(memory: WebAssembly.Memory): Passes {
  const bytes = readFileSync(new URL("../build/wasm/passes.wasm", import.meta.url));
  return instantiateSync(bytes, { env: { memory } }).instance.exports as unknown as Passes;
}

import { readFileSync } from "node:fs";
import type { ParamPointers } from "fused-adam";

/** What net.c exports. Pointers are byte offsets into `memory`. */
interface Exports {
  memory: WebAssembly.Memory;
  allocate(bytes: number): number;
  release(pointer: number): void;
  net_create(sizes: number, count: number, seed: number): number;
  net_tensors(net: number): number;
  net_tensor_count(net: number): number;
  net_loss(net: number, inputs: number, targets: number, examples: number): number;
  net_predict(net: number, inputs: number, outputs: number, examples: number): void;
}

export type Library = Exports;

export async function load(path: string): Promise<Library> {
  const { instance } = await WebAssembly.instantiate(readFileSync(path));
  return instance.exports as unknown as Exports;
}

/** Copies numbers to the library's heap. */
export function put(lib: Library, values: Float32Array | Uint32Array): number {
  // Pointers above 2 GiB come out of WebAssembly as negative numbers.
  const pointer = lib.allocate(values.byteLength) >>> 0;
  // `buffer` is read after the allocation, which may grow the memory and detach the old buffer.
  const Values = values.constructor as Float32ArrayConstructor;
  new Values(lib.memory.buffer, pointer, values.length).set(values);
  return pointer;
}

/** The addresses of the network's tensors, and of two moments for each, allocated by the library. */
export function pointersOf(lib: Library, net: number): Record<string, ParamPointers> {
  const count = lib.net_tensor_count(net);
  // Read before anything is allocated, because allocating can grow the memory.
  const fields = new Uint32Array(lib.memory.buffer, lib.net_tensors(net) >>> 0, 3 * count).slice();
  return Object.fromEntries(
    Array.from({ length: count }, (_, i) => {
      const [param, grad, length] = fields.subarray(3 * i) as unknown as [number, number, number];
      const [expAvg, expAvgSq] = [lib.allocate(4 * length) >>> 0, lib.allocate(4 * length) >>> 0];
      return [`${i % 2 === 0 ? "weight" : "bias"}${i >> 1}`, { length, param, grad, expAvg, expAvgSq }];
    }),
  );
}

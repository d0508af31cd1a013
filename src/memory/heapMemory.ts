export const PAGE = 65536;

/**
 * Stands in for `WebAssembly.Memory` where a host has none; only the TypeScript kernels run on it. It grows by copying: older
 * views keep the old contents, where a real memory would detach them.
 */
export class HeapMemory implements Pick<WebAssembly.Memory, "buffer" | "grow"> {
  buffer: ArrayBuffer;

  constructor(pages: number) {
    this.buffer = new ArrayBuffer(pages * PAGE);
  }

  grow(pages: number): number {
    const old = this.buffer;
    const grown = new Uint8Array(old.byteLength + pages * PAGE);
    grown.set(new Uint8Array(old));
    this.buffer = grown.buffer;
    return old.byteLength / PAGE;
  }
}

/** Whether a memory, or an array, is shared. By tag, because the classes of another realm are others. */
export function isShared({ buffer }: { readonly buffer: ArrayBufferLike }): boolean {
  return Object.prototype.toString.call(buffer) === "[object SharedArrayBuffer]";
}

/** Makes this thread see how far another one has grown a shared memory: it may not, before it grows the memory itself. */
export function refresh(memory: WebAssembly.Memory): void {
  try {
    memory.grow(0);
  } catch {
    // A memory with 64-bit addresses counts its pages in BigInts.
    memory.grow(0n as unknown as number);
  }
}

/** How many bytes a memory has. If `wanted` are more than this thread sees, it looks whether another one has grown it. */
export function byteLength(memory: WebAssembly.Memory, wanted: number): number {
  if (wanted > memory.buffer.byteLength && isShared(memory)) refresh(memory);
  return memory.buffer.byteLength;
}

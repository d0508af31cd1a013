/** Whether a memory, or an array, is shared. By tag, because the classes of another realm are others. */
export function isShared({ buffer }: { readonly buffer: ArrayBufferLike }): boolean {
  return Object.prototype.toString.call(buffer) === "[object SharedArrayBuffer]";
}

/** Bytes that a memory has. Another thread's growth, which may show only after one of this thread's own, counts if `wanted` are more. */
export function byteLength(memory: WebAssembly.Memory, wanted: number): number {
  if (wanted > memory.buffer.byteLength && isShared(memory)) memory.grow(0);
  return memory.buffer.byteLength;
}

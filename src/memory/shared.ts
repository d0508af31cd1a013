/** Whether a memory, or an array, is shared. By tag, because the classes of another realm are others. */
export function isShared({ buffer }: { readonly buffer: ArrayBufferLike }): boolean {
  return Object.prototype.toString.call(buffer) === "[object SharedArrayBuffer]";
}

/**
 * How many bytes a memory has. When another thread has grown it, this thread may not see that before it grows the memory itself:
 * done, by 0, where `wanted` bytes are more than it sees.
 */
export function byteLength(memory: WebAssembly.Memory, wanted: number): number {
  if (wanted > memory.buffer.byteLength && isShared(memory)) memory.grow(0);
  return memory.buffer.byteLength;
}

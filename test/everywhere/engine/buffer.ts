/** Node's `Buffer` where there is none: the npm package, quick enough for tests that compare whole memories. */
import { Buffer } from "buffer";

const byByte = Buffer.compare;

/** Signed, because in most engines those are quicker. */
function words({ buffer, byteOffset, length }: Uint8Array): Int32Array {
  return new Int32Array(buffer, byteOffset, length / 4);
}

function equalWords(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length || (a.byteOffset | b.byteOffset | a.length) % 4 !== 0) return false;
  const x = words(a);
  const y = words(b);
  for (let i = 0; i < x.length; i++) if (x[i] !== y[i]) return false;
  return true;
}

export function provideBuffer(): void {
  const scope = globalThis as { Buffer?: unknown };
  if (scope.Buffer !== undefined) return;
  Buffer.compare = (a, b) => (equalWords(a, b) ? 0 : byByte(a, b));
  // The package's own takes only Buffers.
  Buffer.prototype.equals = function (other: Uint8Array) {
    return Buffer.compare(this, other) === 0;
  };
  scope.Buffer = Buffer;
}

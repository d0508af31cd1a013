/** What jsdom does not have, from Node: checkpoints need the first two, the test itself the others. */
const { Blob } = require("node:buffer");
const { webcrypto } = require("node:crypto");
const { TextDecoder, TextEncoder } = require("node:util");

const missing = { TextDecoder, TextEncoder, Blob, crypto: webcrypto };
for (const [name, value] of Object.entries(missing)) {
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
}

import type { Host } from "./engine/result.js";

/** Where the tests run: what `npm run test:everywhere` says, or vitest's Node. */
export const HOST: Host = (globalThis as { everywhereHost?: Host }).everywhereHost ?? {
  engine: "node",
  thread: "main",
  isolated: true,
  wasm: true,
  blobWorkers: true,
};

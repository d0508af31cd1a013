/** Vite's own server, dependencies pre-bundled. Prints its address, ends with its input. */
import { createServer } from "vite";

const headers = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };
const server = await createServer({ logLevel: "warn", server: { host: "127.0.0.1", port: 0, headers } });
await server.listen();
console.log(server.resolvedUrls.local[0]);
process.stdin.on("end", () => server.close()).resume();

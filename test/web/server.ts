import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".wasm": "application/wasm",
};

/** What makes a page cross-origin isolated. */
export const ISOLATED = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
} as const;

/** A static host that adds headers, and may be told to lack files. */
export class StaticServer {
  headers: Readonly<Record<string, string>> = {};
  /** Paths that match are answered with 404. */
  missing: RegExp | undefined;
  readonly #server: Server;

  private constructor(folder: string) {
    this.#server = createServer(async ({ url = "/" }, response) => {
      const path = url.endsWith("/") ? `${url}index.html` : url;
      const body = this.missing?.test(path) ? undefined : await readFile(join(folder, path)).catch(() => undefined);
      response.writeHead(body === undefined ? 404 : 200, {
        "content-type": TYPES[extname(path)] ?? "application/octet-stream",
        "cache-control": "no-store",
        ...this.headers,
      });
      response.end(body);
    });
  }

  /** Serves a folder on a port that is free. */
  static async start(folder: string): Promise<StaticServer> {
    const made = new StaticServer(folder);
    await new Promise<void>((resolve) => made.#server.listen(0, "127.0.0.1", resolve));
    return made;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

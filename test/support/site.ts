/** A server for tests, on a free port of this machine, that answers what it is told to. */
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { extname } from "node:path";

/** What makes a page cross-origin isolated. */
export const ISOLATED = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
} as const;

const HTML = "text/html; charset=utf-8";
const TYPES: Readonly<Record<string, string>> = {
  ".html": HTML,
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".css": "text/css",
  ".wasm": "application/wasm",
};

export interface Answer {
  readonly body: string | Uint8Array;
  /** Default 200. */
  readonly status?: number;
  /** By default what the end of the path stands for; a path without an end is a page. */
  readonly type?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export const NOT_FOUND: Answer = { body: "", status: 404 };

/** A page that runs nothing but the module at this path. */
export function pageOf(script: string): string {
  return `<!doctype html><body><script type="module" src="${script}"></script>`;
}

/** @param path without the query @param query with its question mark, or empty */
export type Answering = (path: string, query: string, request: IncomingMessage) => Answer | Promise<Answer>;

export interface Site {
  /** Without a slash at its end. */
  readonly url: string;
  readonly port: number;
  close(): void;
}

export function serve(answering: Answering): Promise<Site> {
  return listen(async (request, response) => {
    const [, path, query] = /^([^?]*)(.*)$/.exec(request.url ?? "/") as unknown as [string, string, string];
    const { body, status = 200, type = typeOf(path), headers } = await answering(path, query, request);
    response.writeHead(status, { "content-type": type, "cache-control": "no-store", ...headers }).end(body);
  });
}

function typeOf(path: string): string {
  const end = extname(path);
  return end === "" ? HTML : (TYPES[end] ?? "application/octet-stream");
}

/** A file of a folder, or of a path that ends with a slash the `index.html` there. */
export async function fileIn(folder: string, path: string): Promise<Answer> {
  const file = `${folder}/${path.replace(/\/$/, "/index.html")}`;
  return readFile(file).then(
    (body) => ({ body, type: typeOf(file) }),
    () => NOT_FOUND,
  );
}

/** As `serve`, for who answers in Node's own way. */
export async function listen(listener: RequestListener): Promise<Site> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://localhost:${port}`,
    port,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** Serves a browser its pages, one per test file and mode, each under the mode's headers, and takes in the results. */
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, normalize } from "node:path";
import { bundleOf, ROOT } from "./bundle.js";
import type { FileResult, Host } from "./engine/result.js";
import type { Mode } from "./modes.js";

const TYPES: Record<string, string> = { ".mjs": "text/javascript", ".html": "text/html; charset=utf-8" };
const PAGE = '<!doctype html><title>tests</title><body><script type="module" src="suite/page.mjs"></script>';

export interface Visit {
  readonly mode: Mode;
  readonly host: Host;
  readonly file: string;
}

export interface Server {
  readonly origin: string;
  close(): void;
}

/**
 * @param visits by index, each a page
 * @param report gets the result of the i-th visit; its answer is the index of the next one, or undefined for the end
 */
export async function serve(
  suite: string,
  visits: readonly Visit[],
  report: (i: number, result: FileResult) => number | undefined,
): Promise<Server> {
  const http = createServer(async (request, response) => {
    const [, index, path = "", rest] = /^\/(\d+)\/([^/?]*)\/?([^?]*)/.exec(request.url ?? "") ?? [];
    const i = Number(index);
    const visit = visits[i];
    const answer = (status: number, type: string, body: string | Buffer) =>
      void response
        .writeHead(status, { ...visit?.mode.headers, "content-type": type, "cache-control": "no-store" })
        .end(body);
    if (visit === undefined) return answer(404, "text/plain", "");
    if (path === "page.html") return answer(200, TYPES[".html"]!, PAGE);
    if (path === "end.html") return answer(200, TYPES[".html"]!, "");
    if (path === "result") {
      const next = report(i, JSON.parse(await textOf(request)));
      return answer(200, "text/plain", next === undefined ? `/${i}/end.html` : pageOf(visits, next));
    }
    const folder = { suite: `${suite}/`, repository: ROOT }[path];
    try {
      const file = normalize(`${folder}${rest}`);
      if (folder === undefined || !file.startsWith(folder)) throw new Error("outside");
      return answer(200, TYPES[extname(file)] ?? "application/octet-stream", readFileSync(file));
    } catch {
      return answer(404, "text/plain", "");
    }
  });
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  return {
    origin: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    close() {
      http.closeAllConnections();
      http.close();
    },
  };
}

/** The i-th page, from the server's root. */
export function pageOf(visits: readonly Visit[], i: number): string {
  const { file, host } = visits[i]!;
  return `/${i}/page.html?${new URLSearchParams({ bundle: bundleOf(file), host: JSON.stringify(host) })}`;
}

async function textOf(request: AsyncIterable<Buffer>): Promise<string> {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

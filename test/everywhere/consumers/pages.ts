/** A built project's page in Chromium, cross-origin isolated. */
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, normalize } from "node:path";
import type { Browser } from "playwright-core";

const HEADERS = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };
const TYPES: Record<string, string> = { ".js": "text/javascript", ".html": "text/html; charset=utf-8" };

/** Serves a folder while `use` runs. */
export async function serving<T>(folder: string, use: (url: string) => Promise<T>): Promise<T> {
  const server = createServer((request, response) => {
    const path = normalize(`${folder}/${(request.url ?? "/").replace(/\?.*/, "").replace(/\/$/, "/index.html")}`);
    try {
      const body = readFileSync(path);
      response
        .writeHead(200, { ...HEADERS, "content-type": TYPES[extname(path)] ?? "application/octet-stream" })
        .end(body);
    } catch {
      response.writeHead(404, HEADERS).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    return await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

/** What the page's `results` come to. @throws if it logs a warning or an error, throws, or is not isolated */
export async function resultsOf(browser: Browser, url: string): Promise<Record<string, unknown>> {
  const page = await browser.newPage();
  const complaints: string[] = [];
  page.on("console", (message) => {
    if (["warning", "error"].includes(message.type())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  try {
    await page.goto(url);
    await page.waitForFunction("globalThis.results !== undefined");
    const results = await page.evaluate<Record<string, unknown>>("globalThis.results");
    if (!(await page.evaluate("crossOriginIsolated"))) complaints.push("the page is not cross-origin isolated");
    if (complaints.length === 0) return results;
  } catch (error) {
    complaints.push(String(error));
  } finally {
    await page.close();
  }
  throw new Error(complaints.join("\n"));
}

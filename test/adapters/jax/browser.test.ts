/** `fused-adam/jax` on a page where jax-js computes on workers: what is under way cannot be read, what was awaited can. */
import { existsSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { type Browser, chromium } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const CHROMIUM = "/usr/bin/chromium";
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];
const ISOLATED = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

const PAGE = `
import { blockUntilReady, numpy as np } from "@jax-js/jax";
import { adam } from "fused-adam/jax";

const size = 1 << 16;
const optimizer = adam({ lr: 0.5 });
const grads = np.arange(size).astype(np.float32).add(1);
const state = optimizer.init(np.zeros([size]));

// As soon as a worker has been told to compute, and before what it answers can be heard.
const refused = new Promise((resolve) => {
  const { postMessage } = Worker.prototype;
  Worker.prototype.postMessage = function (message, ...rest) {
    postMessage.call(this, message, ...rest);
    if (message.type !== "kernel") return;
    Worker.prototype.postMessage = postMessage;
    queueMicrotask(() => {
      try {
        optimizer.update(grads, state);
        resolve("nothing");
      } catch (error) {
        resolve(error.code);
      }
    });
  };
});
const reading = grads.ref.data();
await reading;
await blockUntilReady(grads);
const [updates] = optimizer.update(grads, state);
globalThis.result = { isolated: crossOriginIsolated, refused: await refused, error: (await updates.data()).reduce((worst, x) => Math.max(worst, Math.abs(x + 0.5)), 0) };
`;

describe.skipIf(!existsSync(CHROMIUM))("in Chromium", () => {
  let browser: Browser;
  let server: Server;
  beforeAll(async () => {
    const stdin = { contents: PAGE, resolveDir: fileURLToPath(new URL("../../..", import.meta.url)) };
    const { outputFiles } = await build({ stdin, bundle: true, format: "esm", write: false, logLevel: "error" });
    server = createServer(({ url }, response) => {
      const type = url === "/page.js" ? "text/javascript" : "text/html";
      response.writeHead(200, { ...ISOLATED, "content-type": type });
      response.end(
        url === "/page.js" ? outputFiles[0]!.text : `<!doctype html><script type="module" src="/page.js"></script>`,
      );
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: [...FLAGS, "--disable-component-update", "--disable-sync"],
    });
  }, 120_000);
  afterAll(async () => {
    await browser?.close();
    server?.close();
  });

  it("gradients under way are refused and used up by nothing; awaited, they step by lr, within 1e-6", async () => {
    const page = await browser.newPage();
    await page.goto(`http://localhost:${(server.address() as AddressInfo).port}/`);
    await page.waitForFunction("globalThis.result !== undefined");
    const result = (await page.evaluate("globalThis.result")) as { error: number };
    expect(result).toMatchObject({ isolated: true, refused: "ERR_UNREADABLE" });
    expect(result.error).toBeLessThan(1e-6);
  });
});

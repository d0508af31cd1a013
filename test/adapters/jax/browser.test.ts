/** `fused-adam/jax` on a page where jax-js computes on workers: what is under way cannot be read, what was awaited can. */
import { describe, expect, it } from "vitest";
import { noChromium } from "../../support/chromium.js";
import { unless } from "../../support/host.js";
import { bundle, stage } from "../../support/pages.js";
import { ISOLATED, pageOf } from "../../support/site.js";

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

describe("in Chromium", unless(noChromium), () => {
  const site = stage(async () => {
    const script = await bundle(PAGE);
    return (path) => ({ body: path === "/page.js" ? script : pageOf("/page.js"), headers: ISOLATED });
  });

  it("gradients under way are refused and used up by nothing; awaited, they step by lr, within 1e-6", async () => {
    const page = await site.browser.newPage();
    await page.goto(site.url);
    await page.waitForFunction("globalThis.result !== undefined");
    const result = (await page.evaluate("globalThis.result")) as { error: number };
    expect(result).toMatchObject({ isolated: true, refused: "ERR_UNREADABLE" });
    expect(result.error).toBeLessThan(1e-6);
  });
});

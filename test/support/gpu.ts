/** A page for a suite, in Chromium with WebGL 2 and WebGPU in software: SwiftShader, whose arithmetic is IEEE's. */
import type { Page } from "playwright-core";
import { beforeAll } from "vitest";
import { bundle, stage } from "./pages.js";
import { pageOf } from "./site.js";

/**
 * Runs a function in the page. It sees nothing of where it is written, only what the page's module assigned to `globalThis`, and an
 * argument that JSON can hold.
 */
export type Call<Tools> = <T, A = undefined>(
  run: (tools: Tools, argument: A) => T | Promise<T>,
  argument?: A,
) => Promise<T>;

/** @param source the page's module; it assigns `ready` last */
export function gpuPage<Tools>(source: string): Call<Tools> {
  const site = stage(
    async () => {
      const script = await bundle(source);
      return (path) => ({ body: path === "/page.js" ? script : pageOf("/page.js") });
    },
    { gpu: true },
  );
  let page: Page;
  beforeAll(async () => {
    page = await site.browser.newPage();
    await page.goto(site.url);
    await page.waitForFunction("globalThis.ready");
  });
  return (run, argument) => page.evaluate(`(${run})(globalThis, ${JSON.stringify(argument)})`);
}

/** The recipes of docs/checkpoints.md in a real browser, on a page that is closed and opened again. */
import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { noChromium } from "../support/chromium.js";
import { unless } from "../support/host.js";
import { bundle, stage } from "../support/pages.js";
import { pageOf } from "../support/site.js";
import { recipe } from "./docs.js";

const PAGE = `
import { AdamW } from "fused-adam";
const optimizer = AdamW.createSync({ w: { shape: [50, 50] }, b: { shape: [7] } }, { lr: 0.01 });
Object.assign(globalThis, {
  save: (name) => save(name, optimizer),
  load: (name) => load(name, optimizer),
  train(from, to) {
    for (let step = from; step < to; step++) {
      for (const name of optimizer.names) optimizer.grad(name).forEach((_, i, grad) => { grad[i] = ((i * 7 + step) % 17) - 8; });
      optimizer.step();
    }
    const { state } = optimizer.stateDict();
    return JSON.stringify(optimizer.names.map((name) => [[...optimizer.param(name)], state[name].step, [...state[name].exp_avg], [...state[name].exp_avg_sq]]));
  },
});
`;

interface Recipe {
  save(name: string): Promise<void>;
  load(name: string): Promise<boolean>;
  train(from: number, to: number): string;
}

describe("recipes for browsers, in Chromium", unless(noChromium), () => {
  const site = stage(async () => {
    const scripts: Record<string, string> = {};
    for (const name of ["opfs", "idb"]) scripts[`/${name}.js`] = await bundle(recipe(name) + PAGE);
    return (path) => ({ body: scripts[path] ?? pageOf(`${path}.js`) });
  });

  const call = <T>(page: Page, run: (recipe: Recipe) => T | Promise<T>): Promise<T> =>
    page.evaluate(`(${run})(globalThis)`) as Promise<T>;

  test.each(["opfs", "idb"])("%s: a page that was closed goes on bit for bit", async (name) => {
    const context = await site.browser.newContext();
    const open = async () => {
      const page = await context.newPage();
      await page.goto(`${site.url}/${name}`);
      await page.waitForFunction("globalThis.save !== undefined");
      return page;
    };
    const first = await open();
    expect(await call(first, ({ load }) => load("run"))).toBe(false);
    await call(first, async ({ train, save }) => {
      train(0, 3);
      await save("run");
      train(3, 5);
      await save("run");
    });
    const straight = await call(first, ({ train }) => train(5, 9));
    await first.close();

    const second = await open();
    expect(await call(second, ({ load }) => load("run"))).toBe(true);
    expect(await call(second, ({ train }) => train(5, 9))).toBe(straight);
    await second.close();
    await context.close();
  });

  test("opfs: a page that dies before the stream is closed leaves the old checkpoint", async () => {
    const context = await site.browser.newContext();
    const page = await context.newPage();
    const visit = async () => {
      await page.goto(`${site.url}/opfs`);
      await page.waitForFunction("globalThis.save !== undefined");
    };
    await visit();
    const straight = await call(page, async ({ train, save }) => {
      train(0, 3);
      await save("run");
      return train(3, 5);
    });
    await page.evaluate(`(async () => {
      const written = new Promise((resolve) => { FileSystemWritableFileStream.prototype.close = resolve; });
      save("run");
      await written;
    })()`);
    await visit();
    expect(await call(page, ({ load }) => load("run"))).toBe(true);
    expect(await call(page, ({ train }) => train(3, 5))).toBe(straight);
    await context.close();
  });
});

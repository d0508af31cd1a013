/** Pages of a suite, in Chromium. */
import { build } from "esbuild";
import type { Browser } from "playwright-core";
import { beforeAll } from "vitest";
import { type LaunchOptions, launch } from "./chromium.js";
import { fromSource } from "./host.js";
import { onePackage } from "./package.js";
import { root } from "./root.js";
import { type Answering, serve } from "./site.js";

/** A module for a page, with all that it imports. */
export async function bundle(contents: string): Promise<string> {
  const stdin = { contents, resolveDir: root };
  const { outputFiles } = await build({
    ...{ stdin, bundle: true, format: "esm", write: false, logLevel: "error" },
    plugins: [onePackage(fromSource ? "src" : "dist")],
  });
  return outputFiles[0]!.text;
}

export interface Stage {
  browser: Browser;
  /** Of the site, without a slash at its end. */
  url: string;
}

/**
 * A browser and a site for the suite that calls this, there from its first test to its last.
 *
 * @param prepare makes what the site needs, and returns how it answers
 */
export function stage(prepare: () => Promise<Answering>, options?: LaunchOptions): Stage {
  const found = {} as Stage;
  beforeAll(async () => {
    const site = await serve(await prepare());
    const browser = await launch(options);
    Object.assign(found, { browser, url: site.url });
    return async () => {
      await browser.close();
      site.close();
    };
  });
  return found;
}

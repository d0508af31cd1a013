import { fileURLToPath } from "node:url";
import type { Browser, BrowserContextOptions } from "playwright-core";
import { build } from "vite";
import { afterEach, beforeAll } from "vitest";
import { launch } from "../support/chromium.js";
import { fileIn, NOT_FOUND, type Site, serve } from "../support/site.js";
import { DemoPage } from "./demoPage.js";

/** A host that, unlike localhost, browsers do not trust without HTTPS. */
const UNTRUSTED = "demo.test";
const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

export const configFile = path("../../examples/web/vite.config.ts");

/** Where the page is shown: a browser, and a static host that has it in a folder, for the page must not care where it lies. */
export class Stage {
  browser!: Browser;
  /**
   * What the host sends with every answer, which paths it lacks, and what every worker's script begins with. As it was after each
   * test.
   */
  server: { headers?: Readonly<Record<string, string>>; missing?: RegExp | undefined; prelude?: string } = {};
  #site!: Site;
  /** The page that is open; closed after each test. */
  demo!: DemoPage;

  /** To be called in a suite. Every suite builds the page for itself. */
  constructor(readonly folder: string) {
    beforeAll(async () => {
      await build({ configFile, build: { outDir: path(`../../build/${folder}`) }, logLevel: "error" });
      const files = path("../../build");
      this.#site = await serve(async (path) => {
        const { missing, headers = {}, prelude = "" } = this.server;
        const answer = missing?.test(path) ? NOT_FOUND : await fileIn(files, path);
        return { ...answer, headers, ...(/\/worker-.*\.js$/.test(path) && { body: prelude + answer.body }) };
      });
      this.browser = await launch({ gpu: true, args: [`--host-resolver-rules=MAP ${UNTRUSTED} 127.0.0.1`] });
      return async () => {
        await this.browser.close();
        this.#site.close();
      };
    });
    afterEach(async () => {
      await this.demo?.close();
      this.server = {};
    });
  }

  get url(): string {
    return `${this.#site.url}/${this.folder}/`;
  }

  get untrustedUrl(): string {
    return this.url.replace("localhost", UNTRUSTED);
  }

  /** A tab that has not gone anywhere yet. */
  async prepare(options?: BrowserContextOptions): Promise<DemoPage> {
    this.demo = await DemoPage.create(this.browser, options);
    return this.demo;
  }

  async open(options?: BrowserContextOptions, url = this.url): Promise<DemoPage> {
    const demo = await this.prepare(options);
    await demo.page.goto(url);
    return demo;
  }
}

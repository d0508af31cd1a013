import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Browser, type BrowserContextOptions, chromium } from "playwright-core";
import { build } from "vite";
import { afterAll, afterEach, beforeAll, vi } from "vitest";
import { DemoPage } from "./demoPage.js";
import { StaticServer } from "./server.js";

const CHROMIUM = "/usr/bin/chromium";
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];
const QUIET = ["--disable-component-update", "--disable-sync"];
/** A host that, unlike localhost, browsers do not trust without HTTPS. */
const UNTRUSTED = "demo.test";
const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

export const configFile = path("../../examples/web/vite.config.ts");
export const hasChromium = existsSync(CHROMIUM);

// Some seconds each where the machine has nothing else to do.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

/** Where the page is shown: a browser, and a static host that has it in a folder, for the page must not care where it lies. */
export class Stage {
  browser!: Browser;
  server!: StaticServer;
  /** The page that is open; closed after each test. */
  demo!: DemoPage;

  /** To be called in a suite. Every suite builds the page for itself. */
  constructor(readonly folder: string) {
    beforeAll(async () => {
      await build({ configFile, build: { outDir: path(`../../build/${folder}`) }, logLevel: "error" });
      this.server = await StaticServer.start(path("../../build"));
      const args = [...FLAGS, ...QUIET, `--host-resolver-rules=MAP ${UNTRUSTED} 127.0.0.1`];
      this.browser = await chromium.launch({ executablePath: CHROMIUM, args });
    });
    afterAll(async () => {
      await this.browser?.close();
      this.server?.stop();
    });
    afterEach(async () => {
      await this.demo?.close();
      this.server.headers = {};
      this.server.missing = undefined;
    });
  }

  get url(): string {
    return `http://localhost:${this.server.port}/${this.folder}/`;
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

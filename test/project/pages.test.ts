/** The single files for pages without a bundler, loaded as docs/quickstart.md shows it, in Chromium. */
import { readFileSync } from "node:fs";
import { buildSync } from "esbuild";
import { describe, expect, it } from "vitest";
import { noChromium } from "../support/chromium.js";
import { unless } from "../support/host.js";
import { recipe } from "../support/markdown.js";
import { stage } from "../support/pages.js";
import { root } from "../support/root.js";
import { NOT_FOUND } from "../support/site.js";

const read = (path: string) => readFileSync(`${root}/${path}`, "utf8");
const { unpkg, jsdelivr } = JSON.parse(read("package.json"));

/** TensorFlow.js as one script, made of the packages that its own is made of. */
const TENSORFLOW = `
import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import "@tensorflow/tfjs-layers";
globalThis.tf = tf;`;

/** What the CDN has under these paths. */
const CDN: Readonly<Record<string, () => string>> = {
  "fused-adam": () => read(jsdelivr),
  "fused-adam/dist/browser/fused-adam.mjs": () => read("dist/browser/fused-adam.mjs"),
  "@tensorflow/tfjs": () => {
    const stdin = { contents: TENSORFLOW, resolveDir: root };
    return buildSync({ stdin, bundle: true, write: false, logLevel: "error" }).outputFiles[0]!.text;
  },
};

describe("a page without a bundler, in Chromium", unless(noChromium), () => {
  const pages = stage(async () => (path) => {
    if (path.startsWith("/page/")) {
      const html = recipe("docs/quickstart.md", path.slice("/page/".length));
      return { body: `<!doctype html><body>${html.replaceAll("https://cdn.jsdelivr.net/npm/", "/npm/")}` };
    }
    const file = CDN[path.replace(/^\/npm\//, "")];
    return file === undefined ? NOT_FOUND : { body: file(), type: "text/javascript" };
  });

  async function textOf(name: string): Promise<string> {
    const page = await pages.browser.newPage();
    const failed = new Promise<never>((_, reject) => page.on("pageerror", reject));
    failed.catch(() => {});
    await page.goto(`${pages.url}/page/${name}`);
    // What a script says stands in the body, but so does the script.
    const said = () =>
      [...document.body.childNodes]
        .filter((node) => node instanceof Text)
        .map((node) => node.data.trim())
        .join("");
    const handle = await Promise.race([page.waitForFunction(said), failed]);
    const text = await handle.jsonValue();
    await page.close();
    return text;
  }

  it("as a module: a step of AdamW's default", async () => {
    // 0 − 1e-3 · 1 / (1 + 1e-8), in float32.
    expect(await textOf("module-page")).toBe(Array(3).fill(Math.fround(-1e-3)).join());
  });

  it("as a classic script beside TensorFlow.js's: 100 steps bring x² below 0.01", async () => {
    expect(await textOf("script-page")).toBe("true");
  });

  it("unpkg and jsDelivr serve the classic script", () => {
    expect([unpkg, jsdelivr]).toEqual(Array(2).fill("./dist/browser/fused-adam.js"));
  });
});

/** The page of examples/web, built as for a static host, in a real Chromium. */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { type Browser, type BrowserContextOptions, chromium } from "playwright-core";
import { build, createServer } from "vite";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { contrast } from "./contrast.js";
import { DemoPage } from "./demoPage.js";
import { watchMainThread } from "./mainThread.js";
import { ISOLATED, StaticServer } from "./server.js";

const CHROMIUM = "/usr/bin/chromium";
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];
const QUIET = ["--disable-component-update", "--disable-sync"];
/** A host that, unlike localhost, browsers do not trust without HTTPS. */
const UNTRUSTED = "demo.test";
const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));
const configFile = path("../../examples/web/vite.config.ts");
const outDir = path("../../build/web-test");
const shots = path("../../build/screenshots");
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

// Some seconds each where the machine has nothing else to do.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

const PHONE = { width: 360, height: 740 };
const THEMES = ["light", "dark"] as const;

describe.skipIf(!existsSync(CHROMIUM))("the page, in Chromium", () => {
  let browser: Browser;
  let server: StaticServer;
  let url: string;
  let demo: DemoPage;

  beforeAll(async () => {
    await build({ configFile, build: { outDir }, logLevel: "error" });
    server = await StaticServer.start(path("../../build"));
    // In a folder of the host: the page must not care where it lies.
    url = `http://localhost:${server.port}/web-test/`;
    mkdirSync(shots, { recursive: true });
    const args = [...FLAGS, ...QUIET, `--host-resolver-rules=MAP ${UNTRUSTED} 127.0.0.1`];
    browser = await chromium.launch({ executablePath: CHROMIUM, args });
  });
  afterAll(async () => {
    await browser?.close();
    server?.stop();
  });
  afterEach(async () => {
    await demo?.close();
    server.headers = {};
    server.missing = undefined;
  });

  const open = async (options?: BrowserContextOptions, at = url): Promise<DemoPage> => {
    demo = await DemoPage.open(browser, at, options);
    return demo;
  };

  describe("a training of 140 steps", () => {
    let run: Awaited<ReturnType<typeof train>>;
    beforeAll(async () => {
      run = await train();
    });

    async function train() {
      const demo = await DemoPage.prepare(browser);
      const watched = await watchMainThread(browser, demo.page);
      await demo.page.goto(url);
      await demo.click("Start");
      await demo.trainTo(140);
      const step = await demo.pause();
      const mainThread = await watched();
      const lines = await demo.csv();
      await demo.page.waitForTimeout(300);
      const later = { step: await demo.step(), lines: await demo.csv() };
      const [decay, scores] = [await demo.table("decay-table"), await demo.table("scores")];
      await demo.close();
      return { step, lines, later, decay, scores, mainThread, errors: demo.errors };
    }

    test("every training loss falls to less than half, every held-out loss below ln 10 / 2", () => {
      const { lines, step, scores } = run;
      expect(lines[0]).toBe(
        "step,AdamW training,Adam + L2 training,Adam training,AdamW held out,Adam + L2 held out,Adam held out",
      );
      expect(lines.length).toBe(step + 2);
      const numbers = (step: number) => lines[1 + step]!.split(",").map(Number);
      expect(numbers(step)[0]).toBe(step);
      for (const run of [1, 2, 3]) expect(numbers(step)[run]!).toBeLessThan(numbers(1)[run]! / 2);
      // After the first epoch. Guessing among ten classes costs ln 10.
      for (const run of [4, 5, 6]) expect(numbers(125)[run]!).toBeLessThan(Math.log(10) / 2);
      for (const [i, [, training, heldOut]] of scores.entries()) {
        expect([training, heldOut]).toEqual([numbers(step)[1 + i]!.toFixed(3), numbers(125)[4 + i]!.toFixed(3)]);
      }
    });

    test("AdamW decays every weight as asked, within 0.1 %; Adam with L2 more than 10 times that, in a slope", () => {
      const [adamW, adamL2] = ["AdamW", "Adam + L2"].map((label) => run.decay.filter(([cell]) => cell === label));
      expect([adamW!.length, adamL2!.length]).toEqual([9, 9]);
      for (const [, , median, spread] of adamW!) {
        for (const value of [median!, ...spread!.split(" … ")]) expect(Math.abs(Number(value) - 1)).toBeLessThan(1e-3);
      }
      // The last row has the weights without gradients.
      const medians = adamL2!.slice(0, 8).map(([, , median]) => Number(median));
      expect(Math.min(...medians)).toBeGreaterThan(10);
      expect(medians[0]).toBeGreaterThan(2 * medians[7]!);
      const falling = medians.slice(medians.indexOf(Math.max(...medians)));
      expect(falling.length).toBeGreaterThan(4);
      expect(falling).toEqual([...falling].sort((a, b) => b - a));
    });

    test("no task takes 50 ms of processor time on the main thread, from loading the page on", () => {
      expect(run.mainThread.longest).toBeLessThan(50);
    });

    test("no long-task entry (above 50 ms on the clock), from loading the page on", ({ skip }) => {
      const { share, longTasks } = run.mainThread;
      const percent = Math.round(100 * share);
      const busy = `${longTasks.length} entries, but tasks had the processor for ${percent} % of their time: a busy machine`;
      skip(longTasks.length > 0 && share < 0.75, busy);
      expect(longTasks).toEqual([]);
    });

    test("pause stops it, and nothing is logged as an error", () => {
      expect(run.later).toEqual({ step: run.step, lines: run.lines });
      expect(run.errors).toEqual([]);
    });

    test("save, reload, resume: the same curve, bit for bit", async () => {
      const { page } = await open();
      expect(await page.getByRole("button", { name: "Resume saved" }).getAttribute("aria-disabled")).toBe("true");
      await demo.click("Start");
      await demo.trainTo(30);
      await demo.click("Save");
      await page.locator("#storage", { hasText: /^Saved: step/ }).waitFor();
      const saved = Number(/step (\d+),/.exec(await demo.text("storage"))![1]);
      expect(saved).toBeGreaterThanOrEqual(30);

      await page.reload();
      await demo.click("Resume saved");
      await demo.trainTo(saved + 25);
      const step = await demo.pause();
      const shorter = 1 + Math.min(step, run.step);
      expect(shorter).toBeGreaterThan(saved + 20);
      expect((await demo.csv()).slice(0, shorter)).toEqual(run.lines.slice(0, shorter));
      expect(demo.errors).toEqual([]);
    });
  });

  test("a saved run that was damaged is refused, and says so; the present one stays", async () => {
    const { page } = await open();
    await demo.click("Start");
    await demo.trainTo(3);
    const step = await demo.pause();
    await demo.click("Save");
    await page.locator("#storage", { hasText: /^Saved: step/ }).waitFor();
    const flip = (at: number) =>
      page.evaluate(async (at) => {
        const folder = await navigator.storage.getDirectory();
        const handle = await folder.getFileHandle("fused-adam-demo.run");
        const bytes = new Uint8Array(await (await handle.getFile()).arrayBuffer());
        bytes[at < 0 ? bytes.length + at : at]! ^= 1;
        const stream = await handle.createWritable();
        await stream.write(bytes);
        await stream.close();
      }, at);
    // In the curves, in a checkpoint, in the last of the sums.
    for (const at of [900, 200_000, -20]) {
      await flip(at);
      await demo.click("Resume saved");
      await page.getByRole("alert").filter({ hasText: "The saved run cannot be resumed: it was damaged" }).waitFor();
      await demo.click("Dismiss");
      expect(await demo.step()).toBe(step);
      await flip(at);
    }
    await demo.click("Continue");
    await demo.trainTo(step + 2);
    expect(await demo.pause()).toBeGreaterThan(step);
  });

  test("compares steps per second of four that agree within 8e-7", async () => {
    const { page } = await open();
    await demo.click("Start");
    await demo.trainTo(2);
    await page.getByLabel("Parameters").selectOption("4,096");
    await demo.click("Compare");
    await page.locator("#speed-status", { hasText: /^(Done|No)/ }).waitFor();
    expect(await demo.text("speed-status")).toBe("Done.");
    const rows = await demo.table("speed-table");
    expect(rows.map(([name]) => name)).toEqual([
      "fused-adam, SIMD kernel, 1 thread",
      "plain JavaScript loop, 1 thread",
      "TensorFlow.js 4.22.0, wasm backend, 1 thread",
      "TensorFlow.js 4.22.0, cpu backend, 1 thread",
    ]);
    for (const [, speed, nanoseconds, difference] of rows) {
      const perSecond = Number(speed!.replaceAll(",", ""));
      expect(perSecond).toBeGreaterThan(0);
      // Two and three digits of the same figure.
      expect(Number(nanoseconds!.replaceAll(",", "")) / (1e9 / perSecond / 4096)).toBeCloseTo(1, 1);
      if (difference !== "–" && difference !== "none") expect(Number(difference)).toBeLessThanOrEqual(8e-7);
    }
    // It went on where it was interrupted.
    const step = await demo.step();
    await demo.trainTo(step + 2);
    expect(demo.errors).toEqual([]);
  });

  test("keyboard: start, a slider, a number that is refused, pause; the focus can be seen throughout", async () => {
    const { page } = await open();
    const focus = () =>
      page.evaluate(() => {
        const { id, tagName } = document.activeElement!;
        return { id: id || tagName, outline: getComputedStyle(document.activeElement!).outlineStyle };
      });
    const press = async (key: string) => {
      await page.keyboard.press(key);
      const { id, outline } = await focus();
      expect(outline, `outline of ${id}`).not.toBe("none");
      return id;
    };
    await page.locator("#train[aria-disabled=false]").waitFor();
    expect(await press("Tab")).toBe("train");
    await page.keyboard.press("Enter");
    await demo.trainTo(2);
    const seen: string[] = [];
    while (seen.at(-1) !== "weightDecay-slider") seen.push(await press("Tab"));
    expect(seen).toEqual(["restart", "save", "load", "lr", "lr-slider", "weightDecay", "weightDecay-slider"]);
    await press("ArrowRight");
    await page.getByText(/λ from 0\.1 to 0\.3/).waitFor();
    expect(await page.locator("#weightDecay").inputValue()).toBe("0.3");
    expect(await page.locator("#weightDecay-slider").getAttribute("aria-valuetext")).toBe("0.3");

    expect(await press("Shift+Tab")).toBe("weightDecay");
    await page.keyboard.press("Control+A");
    await page.keyboard.type("-1");
    await page.keyboard.press("Enter");
    const refusal = page.locator("#weightDecay-message");
    await refusal.filter({ hasText: '"weightDecay": expected a finite number >= 0, got -1' }).waitFor();
    expect(await page.locator("#weightDecay").getAttribute("aria-invalid")).toBe("true");
    // What was refused is not trained with.
    await demo.trainTo((await demo.step()) + 1);
    expect(await demo.text("changes")).not.toContain("-1");

    while ((await focus()).id !== "train") await press("Shift+Tab");
    await page.keyboard.press("Space");
    await page
      .getByRole("status")
      .filter({ hasText: /^Paused at step/ })
      .waitFor({ state: "attached" });
    expect((await focus()).id).toBe("train");
    expect(demo.errors).toEqual([]);
  });

  test("axe finds nothing, nothing scrolls sideways at 360 px, colours of the charts contrast: light and dark", async () => {
    const { page } = await open({ colorScheme: "light" });
    const check = async (name: string) => {
      for (const colorScheme of THEMES) {
        await page.emulateMedia({ colorScheme });
        for (const [device, viewport] of [
          ["desktop", { width: 1280, height: 900 }],
          ["phone", PHONE],
        ] as const) {
          await page.setViewportSize(viewport);
          const label = `${name}-${device}-${colorScheme}`;
          await page.waitForTimeout(150);
          await page.screenshot({ path: `${shots}/${label}.png`, fullPage: true });
          const width = await page.evaluate(() => document.documentElement.scrollWidth);
          expect(width, label).toBeLessThanOrEqual(viewport.width);
        }
        const { violations, passes } = await page.evaluate<{ violations: { id: string }[]; passes: unknown[] }>(
          "axe.run()",
        );
        expect(violations.map(({ id }) => id)).toEqual([]);
        expect(passes.length).toBeGreaterThan(20);

        const colours = await page.evaluate(() => {
          const probe = document.body.appendChild(document.createElement("i"));
          const found = ["surface", "adamw", "l2", "adam", "muted"].map((name) => {
            probe.style.color = `var(--${name})`;
            return [name, getComputedStyle(probe).color];
          });
          probe.remove();
          return Object.fromEntries(found) as Record<string, string>;
        });
        for (const line of ["adamw", "l2", "adam"])
          expect(contrast(colours[line]!, colours.surface!)).toBeGreaterThan(3);
        expect(contrast(colours.muted!, colours.surface!)).toBeGreaterThan(4.5);
      }
    };
    await page.evaluate(axe);
    await check("empty");
    await demo.click("Start");
    await demo.trainTo(126);
    await demo.pause();
    for (const summary of await page.locator("summary").all()) await summary.click();
    await page.getByLabel("Parameters").selectOption("4,096");
    await demo.click("Compare");
    await page.locator("#speed-status", { hasText: /^Done/ }).waitFor();
    await check("trained");
  });

  test("with reduced motion charts are redrawn at most once in two seconds while it trains", async () => {
    demo = await DemoPage.prepare(browser, { reducedMotion: "reduce" });
    const { page } = demo;
    await page.addInitScript(() => {
      const { clearRect } = CanvasRenderingContext2D.prototype;
      Object.assign(globalThis, { draws: 0 });
      CanvasRenderingContext2D.prototype.clearRect = function (...where) {
        (globalThis as unknown as { draws: number }).draws++;
        clearRect.apply(this, where);
      };
    });
    const draws = () => page.evaluate(() => (globalThis as unknown as { draws: number }).draws);
    await page.goto(url);
    await demo.click("Start");
    await demo.trainTo(1);
    const before = await draws();
    await page.waitForTimeout(3000);
    const calm = (await draws()) - before;
    expect(calm).toBeGreaterThan(0);
    expect(calm).toBeLessThanOrEqual(2 * 2);
  });

  describe("what is missing is said", () => {
    test("threads without isolation: one thread, and the headers that it takes", async () => {
      await open();
      await demo.page.getByLabel("Threads", { exact: true }).fill("2");
      await demo.page.keyboard.press("Enter");
      await demo.page.getByText(/^Steps will run on one thread: .*Cross-Origin-Opener-Policy: same-origin/).waitFor();
      await demo.click("Start");
      await demo.trainTo(1);
      expect(await demo.text("engine")).toMatch(/one thread of the 2 asked for: .*Cross-Origin-Embedder-Policy/);
    });

    test("with isolation: as many threads as the package starts, in the middle of a run", async () => {
      server.headers = ISOLATED;
      const { page } = await open();
      expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
      await demo.click("Start");
      await demo.trainTo(2);
      await page.getByLabel("Threads", { exact: true }).fill("2");
      await page.keyboard.press("Enter");
      await page
        .getByText(/Steps run on (2 threads\.|one thread of the 2 asked for: the package started no more\.)/)
        .waitFor();
      await demo.trainTo((await demo.step()) + 2);
      expect(demo.errors).toEqual([]);
    });

    test("a content security policy that forbids WebAssembly: TypeScript, and why", async () => {
      server.headers = { "content-security-policy": "script-src 'self'" };
      await open();
      await demo.click("Start");
      await demo.trainTo(2);
      expect(await demo.text("engine")).toMatch(/^Kernel: TypeScript, .*'wasm-unsafe-eval'/);
    });

    test("no OPFS: saving is off, training is not", async () => {
      await open({}, url.replace("localhost", UNTRUSTED));
      await demo.page.getByText(/^Saving is off\. This page was not loaded over HTTPS/).waitFor();
      await demo.click("Start");
      await demo.trainTo(1);
      expect(await demo.page.getByRole("button", { name: "Save", exact: true }).getAttribute("aria-disabled")).toBe(
        "true",
      );
    });

    test("digits that cannot be fetched: why; and it starts once they can", async () => {
      server.missing = /digits\.bin$/;
      const { page } = await open();
      await demo.click("Start");
      await page
        .getByRole("alert")
        .filter({ hasText: /digits\.bin: the server answered 404/ })
        .waitFor();
      server.missing = undefined;
      await demo.click("Start");
      await demo.trainTo(1);
      expect(await page.getByRole("alert").filter({ hasText: /404/ }).count()).toBe(0);
    });

    test("a worker that does not start: why; and another one can be started", async () => {
      server.missing = /\/worker-.*\.js$/;
      const { page } = await open();
      await page.getByRole("alert").filter({ hasText: "The worker that trains has failed" }).waitFor();
      server.missing = undefined;
      await page.getByRole("button", { name: "Start another worker" }).click();
      await demo.click("Start");
      await demo.trainTo(1);
    });

    test("TensorFlow.js that cannot be fetched: the others are compared", async () => {
      server.missing = /\/tfjs-.*\.js$/;
      const { page } = await open();
      await page.getByLabel("Parameters").selectOption("4,096");
      await demo.click("Compare");
      await page.locator("#speed-status", { hasText: /^Done\. Not run: TensorFlow\.js, wasm: / }).waitFor();
      expect((await demo.table("speed-table")).length).toBe(2);
    });
  });

  test("the development server of `npm run demo:web` serves the same page, isolated", async () => {
    const vite = await createServer({ configFile, server: { port: 0, host: "localhost" }, logLevel: "error" });
    try {
      await vite.listen();
      const { page } = await open({}, vite.resolvedUrls!.local[0]);
      expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
      await demo.click("Start");
      await demo.trainTo(1);
      expect(demo.errors).toEqual([]);
    } finally {
      await demo.close();
      await vite.close();
    }
  });
});

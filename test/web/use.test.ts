/** The page of examples/web in a real Chromium: whoever uses it, however, and whatever is missing. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { noChromium } from "../support/chromium.js";
import { unless } from "../support/host.js";
import { ISOLATED } from "../support/site.js";
import { contrast } from "./contrast.js";
import { Stage } from "./stage.js";

const shots = fileURLToPath(new URL("../../build/screenshots", import.meta.url));
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const PHONE = { width: 360, height: 740 };
const THEMES = ["light", "dark"] as const;

/** In front of the worker's script: a step and a report each 50 ms, so that no machine ends the training before the test does. */
const UNHURRIED = `{
  const { now } = performance;
  performance.now = () => 10_000 * now.call(performance);
  globalThis.MessageChannel = class {
    port1 = { close() {} };
    port2 = { postMessage: () => setTimeout(() => this.port1.onmessage(), 50) };
  };
}
`;

describe("the page, in Chromium", unless(noChromium), () => {
  const stage = new Stage("web-use");

  test("keyboard: start, a slider, a number that is refused, pause; the focus can be seen throughout", async () => {
    stage.server.prelude = UNHURRIED;
    const demo = await stage.open();
    const { page } = demo;
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
    for (const _ of ["the project", "this view", "the other view"]) expect(await press("Tab")).toBe("A");
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
    // A change of another setting leaves it there, and what is being typed, too.
    await page.locator("#threads").fill("7");
    await page.locator("#lr-slider").evaluate((slider: HTMLInputElement) => {
      slider.value = "0";
      slider.dispatchEvent(new Event("change"));
    });
    await page.getByText(/α from 0\.004 to 0\.0001/).waitFor();
    expect(await page.locator("#threads").inputValue()).toBe("7");
    expect(await refusal.textContent()).not.toBe("");
    await page.locator("#threads").fill("1");
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
    const demo = await stage.open({ colorScheme: "light" });
    const { page } = demo;
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
          const found = ["surface", "adamw", "l2", "adam", "half", "muted"].map((name) => {
            probe.style.color = `var(--${name})`;
            return [name, getComputedStyle(probe).color];
          });
          probe.remove();
          return Object.fromEntries(found) as Record<string, string>;
        });
        for (const line of ["adamw", "l2", "adam", "half"])
          expect(contrast(colours[line]!, colours.surface!)).toBeGreaterThan(3);
        expect(contrast(colours.muted!, colours.surface!)).toBeGreaterThan(4.5);
      }
    };
    await page.evaluate(axe);
    await check("empty");
    await page.getByLabel("Width").selectOption("bfloat16 moments and gradients");
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
    stage.server.prelude = UNHURRIED;
    const demo = await stage.prepare({ reducedMotion: "reduce" });
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
    // The page's clock, which runs only when it is told to, however long the training takes.
    await page.clock.install({ time: 0 });
    await page.goto(stage.url);
    await demo.click("Start");
    await demo.trainTo(1);
    await page.clock.pauseAt(3_600_000);
    await page.clock.runFor(100);
    const before = await draws();
    for (let tenths = 0; tenths < 22; tenths++) {
      await demo.trainTo((await demo.step()) + 1);
      await page.clock.runFor(100);
    }
    const calm = (await draws()) - before;
    expect(calm).toBeGreaterThan(0);
    expect(calm).toBeLessThanOrEqual(2 * 2);
  });

  describe("what is missing is said", () => {
    /** The page takes no more threads than there are cores. */
    const TWO_CORES = 'Object.defineProperty(navigator, "hardwareConcurrency", { value: 2 });';

    test("threads without isolation: one thread, and the headers that it takes", async () => {
      stage.server.prelude = TWO_CORES;
      const demo = await stage.open();
      await demo.page.getByLabel("Threads", { exact: true }).fill("2");
      await demo.page.keyboard.press("Enter");
      await demo.page.getByText(/^Steps will run on one thread: .*Cross-Origin-Opener-Policy: same-origin/).waitFor();
      await demo.click("Start");
      await demo.trainTo(1);
      expect(await demo.text("engine")).toMatch(/one thread of the 2 asked for: .*Cross-Origin-Embedder-Policy/);
    });

    test("with isolation: as many threads as the package starts, in the middle of a run", async () => {
      Object.assign(stage.server, { headers: ISOLATED, prelude: TWO_CORES });
      const demo = await stage.open();
      const { page } = demo;
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
      stage.server.headers = { "content-security-policy": "script-src 'self'" };
      const demo = await stage.open();
      await demo.click("Start");
      await demo.trainTo(2);
      expect(await demo.text("engine")).toMatch(/^Kernel: TypeScript, .*'wasm-unsafe-eval'/);
    });

    test("no OPFS: saving is off, training is not", async () => {
      const demo = await stage.open({}, stage.untrustedUrl);
      await demo.page.getByText(/^Saving is off\. This page was not loaded over HTTPS/).waitFor();
      await demo.click("Start");
      await demo.trainTo(1);
      expect(await demo.page.getByRole("button", { name: "Save", exact: true }).getAttribute("aria-disabled")).toBe(
        "true",
      );
    });

    test("digits that cannot be fetched: why; and it starts once they can", async () => {
      stage.server.missing = /digits\.bin$/;
      const demo = await stage.open();
      const { page } = demo;
      await demo.click("Start");
      await page
        .getByRole("alert")
        .filter({ hasText: /digits\.bin: the server answered 404/ })
        .waitFor();
      stage.server.missing = undefined;
      await demo.click("Start");
      await demo.trainTo(1);
      expect(await page.getByRole("alert").filter({ hasText: /404/ }).count()).toBe(0);
    });

    test("a worker that does not start: why; and another one can be started", async () => {
      stage.server.missing = /\/worker-.*\.js$/;
      const demo = await stage.open();
      const { page } = demo;
      await page.getByRole("alert").filter({ hasText: "The worker that trains has failed" }).waitFor();
      stage.server.missing = undefined;
      await page.getByRole("button", { name: "Start another worker" }).click();
      await demo.click("Start");
      await demo.trainTo(1);
    });

    test("TensorFlow.js that cannot be fetched: the others are compared", async () => {
      stage.server.missing = /\/tfjs-.*\.js$/;
      const demo = await stage.open();
      const { page } = demo;
      await page.getByLabel("Parameters").selectOption("4,096");
      await demo.click("Compare");
      await page.locator("#speed-status", { hasText: /^Done\. Not run: TensorFlow\.js, wasm: / }).waitFor();
      expect((await demo.table("speed-table")).length).toBe(2);
    });
  });
});

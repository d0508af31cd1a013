/** The second view of examples/web in a real Chromium: the grid fills, and says what it shows. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { BrowserContextOptions, Page } from "playwright-core";
import { beforeAll, describe, expect, test } from "vitest";
import { addition } from "../../examples/decoupling/addition.js";
import { compile } from "../../examples/decoupling/compile.js";
import { Network } from "../../examples/decoupling/network.js";
import { type Choice, Training } from "../../examples/decoupling/training.js";
import { noChromium } from "../support/chromium.js";
import { unless } from "../support/host.js";
import type { DemoPage } from "./demoPage.js";
import { watchMainThread } from "./mainThread.js";
import { Stage } from "./stage.js";

const shots = fileURLToPath(new URL("../../build/screenshots", import.meta.url));
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

describe("the grid, in Chromium", unless(noChromium), () => {
  const stage = new Stage("web-grid");
  const open = (options?: BrowserContextOptions) => stage.open(options, `${stage.url}grid.html`);

  /** The points of a run in this process: step, accuracy, loss. */
  let points: (choice: Choice) => string[][];
  beforeAll(() => {
    const folder = mkdtempSync(join(tmpdir(), "grid-"));
    const module = new WebAssembly.Module(compile(join(folder, "network.wasm")));
    rmSync(folder, { recursive: true });
    const task = addition();
    const network = new Network(module, task.data, task.hidden, task.split(1).train.length);
    points = (choice) => {
      const training = new Training(task, network, choice);
      return Array.from({ length: 21 }, (_, i) => {
        training.runTo(250 * i);
        const { accuracy, loss } = training.evaluate("validation");
        return [String(250 * i), String(accuracy), String(loss)];
      });
    };
  });

  /** The curves as they are downloaded, without the head. */
  async function csv({ page }: DemoPage): Promise<string[][]> {
    const button = page.getByRole("button", { name: "Download all curves (CSV)" });
    const [download] = await Promise.all([page.waitForEvent("download"), button.click()]);
    const lines = readFileSync(await download.path(), "utf8")
      .trim()
      .split("\n");
    return lines.slice(1).map((line) => line.split(","));
  }
  const ended = (lines: readonly string[][]) => lines.filter(([, , , , step]) => step === "5000");
  const untilEnded = (page: Page, least: number) =>
    page.waitForFunction((count) => document.querySelector<HTMLProgressElement>("#progress")!.value >= count, least, {
      polling: 50,
    });
  /** Pauses, and waits for the workers, each of which stops at its next point. @returns the curves, which then stay as they are */
  async function pause(demo: DemoPage): Promise<string[][]> {
    await demo.click("Pause");
    let lines = await csv(demo);
    for (let tries = 0; tries < 30; tries++) {
      await demo.page.waitForTimeout(1000);
      const before = lines;
      lines = await csv(demo);
      if (lines.length === before.length) break;
    }
    await demo.page.waitForTimeout(500);
    expect(await csv(demo)).toEqual(lines);
    return lines;
  }
  const runsOf = (lines: readonly string[][]) => new Set(lines.map((line) => line.slice(0, 3).join())).size;
  const cells = ({ page }: DemoPage, map: "adamw-map" | "l2-map") => page.locator(`#${map} td`);

  test("fills cell by cell, pauses and goes on; accuracies are this process's, losses to 1e-12", async () => {
    const demo = await stage.prepare();
    const { page } = demo;
    const watched = await watchMainThread(stage.browser, page);
    await page.goto(`${stage.url}grid.html`);
    await demo.click("Start");
    await untilEnded(page, 3);
    let paused = await pause(demo);
    await page.getByRole("button", { name: "Continue" }).waitFor();
    await page
      .getByRole("status")
      .filter({ hasText: /^Paused\. Seed 1: \d+ of 100 runs/ })
      .waitFor({ state: "attached" });
    // A run may be at its end just then.
    for (let tries = 0; tries < 20 && runsOf(paused) === ended(paused).length; tries++) {
      await demo.click("Continue");
      await untilEnded(page, ended(paused).length + 1);
      paused = await pause(demo);
    }
    const underWay = runsOf(paused) - ended(paused).length;
    expect(underWay).toBeGreaterThan(0);
    await demo.click("Continue");
    await untilEnded(page, ended(paused).length + underWay);
    const lines = await pause(demo);
    const { longest } = await watched();

    for (const [rule, lr, decay] of [ended(lines)[0]!, ended(lines).at(-1)!]) {
      const choice = { rule: rule as Choice["rule"], lr: Number(lr), weightDecay: Number(decay), seed: 1, steps: 5000 };
      const own = lines.filter((line) => line[0] === rule && line[1] === lr && line[2] === decay);
      const expected = points(choice);
      expect(own.map(([, , , , step, accuracy]) => [step, accuracy])).toEqual(
        expected.map((point) => point.slice(0, 2)),
      );
      // Their logarithms and exponentials are the engine's.
      for (const [i, [, , , , , , loss]] of own.entries()) {
        expect(Math.abs(Number(loss) / Number(expected[i]![2]) - 1)).toBeLessThan(1e-12);
      }
    }
    // The first cell of each map that was trained: the largest rate and decay.
    for (const [rule, map] of [
      ["AdamW", "adamw-map"],
      ["Adam + L2", "l2-map"],
    ] as const) {
      const [, , , , , accuracy] = ended(lines).find((line) => line[0] === rule && line[1] === "0.2")!;
      const texts = (await cells(demo, map).allTextContents()).slice(0, 10).filter((text) => text !== "");
      expect(texts).toContain((100 * Number(accuracy)).toFixed(0));
    }
    expect(longest).toBeLessThan(50);
    expect(demo.errors).toEqual([]);
  });

  test("keyboard: Tab to a map, arrows within it and not beyond, and the curve of the cell; the focus can be seen", async () => {
    const demo = await open();
    const { page } = demo;
    const focus = () =>
      page.evaluate(() => {
        const { id, tagName } = document.activeElement!;
        return { name: id || tagName, outline: getComputedStyle(document.activeElement!).outlineStyle };
      });
    await page.locator("#train[aria-disabled=false]").focus();
    await page.keyboard.press("Enter");
    await untilEnded(page, 1);
    const seen: string[] = [];
    while (seen.at(-1) !== "TD") {
      await page.keyboard.press("Tab");
      const { name, outline } = await focus();
      expect(outline, name).not.toBe("none");
      seen.push(name);
    }
    expect(seen.slice(0, 2)).toEqual(["restart", "DIV"]);
    const shown = () => demo.text("cell");
    expect(await shown()).toMatch(/^AdamW, α = 0\.2, λ = 0\.005: /);
    for (const [key, expected] of [
      ["ArrowUp", "α = 0.2, λ = 0.005"],
      ["ArrowLeft", "α = 0.2, λ = 0.005"],
      ["ArrowRight", "α = 0.2, λ = 0.01"],
      ["ArrowDown", "α = 0.07, λ = 0.01"],
      ["End", "α = 0.07, λ = 5"],
      ["ArrowRight", "α = 0.07, λ = 5"],
      ["Home", "α = 0.07, λ = 0.005"],
    ] as const) {
      await page.keyboard.press(key);
      expect(await shown(), key).toContain(`AdamW, ${expected}: `);
      expect((await focus()).outline).not.toBe("none");
    }
    // The other map is a stop of its own, and Tab comes back to the cell that was left.
    while (!(await shown()).startsWith("Adam + L2")) await page.keyboard.press("Tab");
    await page.keyboard.press("Shift+Tab");
    while ((await focus()).name !== "TD") await page.keyboard.press("Shift+Tab");
    expect(await shown()).toContain("AdamW, α = 0.07, λ = 0.005: ");
    expect(await page.locator("#curve-plot").getAttribute("aria-label")).toContain("AdamW, α = 0.07, λ = 0.005");
    expect(demo.errors).toEqual([]);
  });

  test("pointing at a cell shows its curve", async () => {
    const demo = await open();
    await demo.click("Start");
    const last = cells(demo, "l2-map").nth(9);
    await last.hover();
    // With more than two workers it is not among the first two that end.
    await demo.page.locator("#cell", { hasText: "after 5,000 steps" }).waitFor();
    expect(await demo.text("cell")).toBe(
      `Adam + L2, α = 0.2, λ = 0.001: ${(await demo.text("cell")).match(/[\d.]+ %/)![0]} after 5,000 steps, one seed`,
    );
    expect(Number(/([\d.]+) %/.exec(await demo.text("cell"))![1]).toFixed(0)).toBe(await last.textContent());
  });

  describe("with workers that answer at once", () => {
    /** In place of a worker: points at the start and at the end, the accuracy a parabola over log λ. */
    const answering = () => {
      class Answering extends EventTarget {
        postMessage(request: { type: string; choice?: Record<string, number | string> }) {
          const send = (data: unknown) =>
            queueMicrotask(() => this.dispatchEvent(Object.assign(new Event("message"), { data })));
          if (request.type === "open") send({ type: "ready" });
          if (request.type !== "run") return;
          const { rule, lr, weightDecay, steps } = request.choice as { rule: string; [key: string]: number | string };
          const top = rule === "AdamW" ? 0.5 : 1e-6 / Number(lr);
          const accuracy = 0.8 - 0.02 * Math.log10(Number(weightDecay) / top) ** 2;
          for (const step of [0, Number(steps)]) {
            send({
              type: "point",
              choice: request.choice,
              point: { step, accuracy: step === 0 ? 0 : accuracy, loss: 1 },
            });
          }
        }
        terminate() {}
      }
      Object.assign(globalThis, { Worker: Answering });
    };

    async function finished(options?: BrowserContextOptions): Promise<DemoPage> {
      const demo = await stage.prepare(options);
      await demo.page.addInitScript(answering);
      await demo.page.goto(`${stage.url}grid.html`);
      await demo.click("Start");
      await demo.page.getByRole("button", { name: "Another seed" }).waitFor();
      return demo;
    }

    test("a whole grid: a frame in each row, slopes in words, best decays in a table; then another seed", async () => {
      const demo = await finished();
      expect(await demo.text("step")).toMatch(/^Seed 1: 100 of 100 runs/);
      expect(await demo.text("claim")).toContain(
        "Adam + L2: with ten times the rate, the best decay is divided by 10.0",
      );
      const framed = (map: "adamw-map" | "l2-map") =>
        cells(demo, map).evaluateAll((all) => all.flatMap((cell, i) => (cell.classList.contains("best") ? [i] : [])));
      expect(await framed("adamw-map")).toEqual([6, 16, 26, 36, 46]);
      expect(await framed("l2-map")).toEqual([2, 14, 25, 36, 48]);
      expect((await demo.table("best-table"))[0]).toEqual(["0.2", "0.5", "5e-6"]);
      await demo.click("Another seed");
      await demo.page
        .getByText(/^From 2 seeds\./)
        .first()
        .waitFor();
      expect(await demo.text("step")).toMatch(/^Seed 2: 100 of 100 runs/);
      await demo.click("Start over");
      await demo.page
        .getByText(/^From one seed\./)
        .first()
        .waitFor();
      expect(demo.errors).toEqual([]);
    });

    test("a worker that fails in the middle: runs that ended stay, the others are trained anew by other workers", async () => {
      const demo = await stage.prepare();
      const { page } = demo;
      await page.addInitScript(answering);
      await page.addInitScript(() => {
        let runs = 0;
        const { postMessage } = Worker.prototype;
        Worker.prototype.postMessage = function (request: { type: string; choice?: { steps: number } }) {
          if (request.type !== "run" || ++runs !== 8) return postMessage.call(this, request);
          const point = { step: 0, accuracy: 0, loss: 1 };
          for (const data of [
            { type: "point", choice: request.choice, point },
            { type: "failed", message: "no memory" },
          ]) {
            this.dispatchEvent(Object.assign(new Event("message"), { data }));
          }
        };
      });
      await page.goto(`${stage.url}grid.html`);
      await demo.click("Start");
      await page
        .getByRole("alert")
        .filter({ hasText: "A worker has failed: no memory. The runs under way are lost." })
        .waitFor();
      expect(await demo.text("step")).toMatch(/^Seed 1: [1-7] of 100 runs$/);
      expect(await page.locator("td.running").count()).toBe(0);
      await demo.click("Continue");
      await page.getByRole("button", { name: "Another seed" }).waitFor();
      expect(await demo.text("step")).toMatch(/^Seed 1: 100 of 100 runs/);
      expect(await page.getByRole("alert").filter({ hasText: "no memory" }).count()).toBe(0);
    });

    test("axe finds nothing, nothing scrolls sideways at 360 px: light and dark", async () => {
      const demo = await finished({ colorScheme: "light" });
      const { page } = demo;
      await page.evaluate(axe);
      for (const colorScheme of ["light", "dark"] as const) {
        await page.emulateMedia({ colorScheme });
        for (const [device, viewport] of [
          ["desktop", { width: 1280, height: 900 }],
          ["phone", { width: 360, height: 740 }],
        ] as const) {
          await page.setViewportSize(viewport);
          await page.waitForTimeout(150);
          await page.screenshot({ path: `${shots}/grid-${device}-${colorScheme}.png`, fullPage: true });
          const width = await page.evaluate(() => document.documentElement.scrollWidth);
          expect(width, `${device}, ${colorScheme}`).toBeLessThanOrEqual(viewport.width);
          const { violations, passes } = await page.evaluate<{ violations: { id: string }[]; passes: unknown[] }>(
            "axe.run()",
          );
          expect(violations.map(({ id }) => id)).toEqual([]);
          expect(passes.length).toBeGreaterThan(20);
        }
      }
    });
  });

  describe("what is missing is said", () => {
    test("a network that cannot be fetched: why; and it starts once it can", async () => {
      stage.server.missing = /network\.wasm$/;
      const demo = await open();
      await demo.click("Start");
      await demo.page
        .getByRole("alert")
        .filter({ hasText: /network\.wasm: the server answered 404/ })
        .waitFor();
      stage.server.missing = undefined;
      await demo.click("Start other workers");
      await untilEnded(demo.page, 1);
      expect(await demo.page.getByRole("alert").filter({ hasText: /404/ }).count()).toBe(0);
    });

    test("a content security policy that forbids WebAssembly: why", async () => {
      stage.server.headers = { "content-security-policy": "script-src 'self'" };
      const demo = await open();
      await demo.click("Start");
      await demo.page
        .getByRole("alert")
        .filter({ hasText: /Content Security Policy/ })
        .waitFor();
    });
  });

  test("leads to the other view and back", async () => {
    const demo = await open();
    const { page } = demo;
    await page.getByRole("link", { name: "Training" }).click();
    await page.getByRole("heading", { level: 1, name: /side by side/ }).waitFor();
    await page.getByRole("link", { name: "Decay and learning rate" }).click();
    await page.getByRole("heading", { level: 1, name: /Which decay/ }).waitFor();
    expect(demo.errors).toEqual([]);
  });
});

/** The page of examples/web in a real Chromium: it trains, saves, resumes and compares. */
import { createServer } from "vite";
import { beforeAll, describe, expect, test } from "vitest";
import { noChromium } from "../support/chromium.js";
import { unless } from "../support/host.js";
import { watchMainThread } from "./mainThread.js";
import { configFile, Stage } from "./stage.js";

describe("the page, in Chromium", unless(noChromium), () => {
  const stage = new Stage("web-training");

  describe("a training of 140 steps", () => {
    let run: Awaited<ReturnType<typeof train>>;
    beforeAll(async () => {
      run = await train();
    });

    async function train() {
      const demo = await stage.prepare();
      const watched = await watchMainThread(stage.browser, demo.page);
      await demo.page.goto(stage.url);
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
      // At the end of an epoch. A busy machine pauses late, after more than the first. Guessing among ten classes costs ln 10.
      const evaluated = lines.findLastIndex((line) => !line.endsWith(",")) - 1;
      expect(evaluated % 125).toBe(0);
      for (const run of [4, 5, 6]) expect(numbers(evaluated)[run]!).toBeLessThan(Math.log(10) / 2);
      for (const [i, [, training, heldOut]] of scores.entries()) {
        expect([training, heldOut]).toEqual([numbers(step)[1 + i]!.toFixed(3), numbers(evaluated)[4 + i]!.toFixed(3)]);
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
      const demo = await stage.open();
      const { page } = demo;
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
      await demo.pause();
      const resumed = await demo.csv();
      await demo.close();
      expect(demo.errors).toEqual([]);

      const straight = await stage.open();
      await straight.click("Start");
      await straight.trainTo(saved + 25);
      await straight.pause();
      // The head, the start, and so many steps.
      const both = 2 + saved + 25;
      expect(resumed.length).toBeGreaterThanOrEqual(both);
      expect(resumed.slice(0, both)).toEqual((await straight.csv()).slice(0, both));
    });
  });

  test("a saved run that was damaged is refused, and says so; the present one stays", async () => {
    const demo = await stage.open();
    const { page } = demo;
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
    const demo = await stage.open();
    const { page } = demo;
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

  test.each(["webgl", "webgpu"])(
    "compares on %s, with the package as TensorFlow.js's optimizer there",
    async (backend) => {
      const demo = await stage.open();
      const { page } = demo;
      await page.getByLabel("Parameters").selectOption("4,096");
      await page.getByLabel("TensorFlow.js on").selectOption(backend);
      await demo.click("Compare");
      await page.locator("#speed-status", { hasText: /^(Done|No)/ }).waitFor();
      expect(await demo.text("speed-status")).toBe("Done.");
      const rows = await demo.table("speed-table");
      expect(rows.map(([name]) => name)).toEqual([
        "fused-adam, SIMD kernel, 1 thread",
        "plain JavaScript loop, 1 thread",
        `TensorFlow.js 4.22.0, ${backend} backend`,
        `fused-adam/tfjs, ${backend} backend`,
      ]);
      for (const [, speed, , difference] of rows) {
        expect(Number(speed!.replaceAll(",", ""))).toBeGreaterThan(0);
        if (difference !== "–" && difference !== "none") expect(Number(difference)).toBeLessThanOrEqual(8e-7);
      }
      expect(demo.errors).toEqual([]);
    },
  );

  test("the development server of `npm run demo:web` serves the same page, isolated", async () => {
    const vite = await createServer({ configFile, server: { port: 0, host: "localhost" }, logLevel: "error" });
    try {
      await vite.listen();
      const demo = await stage.open({}, vite.resolvedUrls!.local[0]);
      expect(await demo.page.evaluate(() => crossOriginIsolated)).toBe(true);
      await demo.click("Start");
      await demo.trainTo(1);
      expect(demo.errors).toEqual([]);
      await demo.close();
    } finally {
      await vite.close();
    }
  });
});

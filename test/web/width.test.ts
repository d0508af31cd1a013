/** The page of examples/web in a real Chromium: AdamW in another width, drawn over its float32 curve. */
import { AdamW } from "fused-adam";
import { describe, expect, test } from "vitest";
import { loadDigits } from "../../examples/shared/digits.js";
import { Run } from "../../examples/shared/run.js";
import { EPOCHS, HELD_OUT_SIZE, LEARNING_RATE, SEED, TRAIN_SIZE, WEIGHT_DECAY } from "../../examples/shared/task.js";
import { differenceOf, WIDTHS, type Width } from "../../examples/shared/width.js";
import { noChromium } from "../support/chromium.js";
import { unless } from "../support/host.js";
import type { DemoPage } from "./demoPage.js";
import { Stage } from "./stage.js";

/** What `npm run demo` trains with `--moments` and `--grads`: the losses of so many steps, with all digits. */
async function inNode(width: Width, steps: number): Promise<string[]> {
  const rule = { label: "AdamW", optimizer: AdamW, weightDecay: WEIGHT_DECAY };
  const split = loadDigits(TRAIN_SIZE, HELD_OUT_SIZE, SEED);
  const run = await Run.create(rule, split, { epochs: EPOCHS, seed: SEED, lr: LEARNING_RATE, ...WIDTHS[width] });
  while (run.losses.length < steps) run.step();
  run.dispose();
  return run.losses.map(String);
}

/** The training losses of a run of the page, by its label. */
async function curveOf(demo: DemoPage, label: string): Promise<string[]> {
  const [head, ...lines] = (await demo.csv()).map((line) => line.split(","));
  const column = head!.indexOf(`${label} training`);
  expect(column, head!.join()).toBeGreaterThan(0);
  return lines.slice(1).map((line) => line[column]!);
}

/** The numbers of two curves from a step on. */
const both = (curves: [string[], string[]], first: number) =>
  curves.map((curve) => curve.slice(first - 1).map(Number)) as [number[], number[]];

const choose = (demo: DemoPage, width: Width) => demo.page.getByLabel("Width").selectOption(width);

async function save(demo: DemoPage): Promise<void> {
  await demo.click("Save");
  await demo.page.locator("#storage", { hasText: /^Saved: step/ }).waitFor();
}

describe("the page, in Chromium", unless(noChromium), () => {
  const stage = new Stage("web-width");

  // The first step is taken with moments that are not rounded yet.
  test.each([
    ["bfloat16 moments", 3],
    ["bfloat16 moments and gradients", 2],
  ] as const)(
    "%s: the curves are those of Node, bit for bit, and from step %i on differ by at most 0.002 on average over 150",
    async (width, first) => {
      const demo = await stage.prepare();
      const halves: string[] = [];
      demo.page.context().on("request", (request) => {
        if (/halves|half/i.test(request.url())) halves.push(request.url());
      });
      await demo.page.goto(stage.url);
      await demo.click("Start");
      await demo.trainTo(1);
      expect(halves).toEqual([]);
      await demo.pause();
      await choose(demo, width);
      await demo.click("Start over");
      await demo.trainTo(150);
      const step = await demo.pause();
      expect(halves.length).toBeGreaterThan(0);

      const [float32, half] = [await curveOf(demo, "AdamW"), await curveOf(demo, `AdamW with ${width}`)];
      expect(half).toEqual(await inNode(width, step));
      expect(float32).toEqual(await inNode("float32", step));
      const { mean, largest } = differenceOf(...both([float32, half], first));
      expect(mean).toBeGreaterThan(0);
      expect(mean).toBeLessThan(0.002);
      expect(await demo.text("difference")).toContain(
        `AdamW with ${width}: from step ${first} on its training loss differs from float32's by ${mean.toFixed(5)} on average, ` +
          `by ${largest.toFixed(5)} at most`,
      );
      expect((await demo.table("scores")).map(([label]) => label)).toEqual([
        "AdamW",
        "Adam + L2",
        "Adam",
        `AdamW with ${width}`,
      ]);
      expect(demo.errors).toEqual([]);
    },
  );

  test("saved in one width, resumed in others: each goes on where it was, and the float32 curve is the same", async () => {
    const demo = await stage.open();
    const { page } = demo;
    await choose(demo, "bfloat16 moments");
    await demo.click("Start");
    await demo.trainTo(20);
    await demo.pause();
    await save(demo);
    const [first, float32] = [await curveOf(demo, "AdamW with bfloat16 moments"), await curveOf(demo, "AdamW")];
    const saved = first.length;
    expect(saved).toBeGreaterThanOrEqual(20);

    // Nothing is chosen: the saved width.
    await page.reload();
    await demo.click("Resume saved");
    await demo.trainTo(saved + 5);
    const step = await demo.pause();
    expect(await page.getByLabel("Width").inputValue()).toBe("bfloat16 moments");
    expect(await curveOf(demo, "AdamW with bfloat16 moments")).toEqual(await inNode("bfloat16 moments", step));
    expect((await curveOf(demo, "AdamW")).slice(0, saved)).toEqual(float32);

    // Another one: the moments that were saved, and from there on rounded gradients.
    await page.reload();
    await choose(demo, "bfloat16 moments and gradients");
    await demo.click("Resume saved");
    await demo.trainTo(saved + 5);
    await demo.pause();
    expect(await page.getByLabel("Width").inputValue()).toBe("bfloat16 moments and gradients");
    const second = await curveOf(demo, "AdamW with bfloat16 moments and gradients");
    expect(second.slice(0, saved)).toEqual(first);
    const straight = await inNode("bfloat16 moments", second.length);
    // The next loss is that of the saved parameters; what follows has rounded gradients.
    expect(second[saved]).toBe(straight[saved]);
    expect(second.slice(saved + 1)).not.toEqual(straight.slice(saved + 1));

    // And back: no fourth run; saved without one, it begins where AdamW is.
    await choose(demo, "float32");
    await page.locator("#scores tbody tr:nth-child(4)").waitFor({ state: "detached" });
    await save(demo);
    const last = await curveOf(demo, "AdamW");
    await page.reload();
    await choose(demo, "bfloat16 moments");
    await demo.click("Resume saved");
    await demo.trainTo(last.length + 5);
    await demo.pause();
    const third = await curveOf(demo, "AdamW with bfloat16 moments");
    expect(third.slice(0, last.length + 1)).toEqual((await curveOf(demo, "AdamW")).slice(0, last.length + 1));
    expect(third).not.toEqual(await curveOf(demo, "AdamW"));
    expect(demo.errors).toEqual([]);
  });

  test("kernels that cannot be fetched: why; the width and the training stay", async () => {
    const demo = await stage.open();
    const { page } = demo;
    await demo.click("Start");
    await demo.trainTo(2);
    stage.server.missing = /half|halves/i;
    await choose(demo, "bfloat16 moments");
    await page.getByRole("alert").filter({ hasText: "The width was not changed" }).waitFor();
    expect(await page.getByLabel("Width").inputValue()).toBe("float32");
    await demo.trainTo((await demo.step()) + 2);
    expect((await demo.table("scores")).length).toBe(3);
    stage.server.missing = undefined;
  });

  test("keyboard: the width is reached from the threads, has a focus that can be seen, and is changed by an arrow", async () => {
    const demo = await stage.open();
    const { page } = demo;
    await page
      .getByLabel("Threads, slider")
      .or(page.getByLabel("Threads", { exact: true }))
      .last()
      .focus();
    const focus = () => page.evaluate(() => document.activeElement!.id);
    await page.keyboard.press("Tab");
    if ((await focus()) !== "width") await page.keyboard.press("Tab");
    expect(await focus()).toBe("width");
    expect(await page.evaluate(() => getComputedStyle(document.activeElement!).outlineStyle)).not.toBe("none");
    await page.keyboard.press("ArrowDown");
    await demo.click("Start");
    await page.locator("#scores tbody tr:nth-child(4)", { hasText: "AdamW with bfloat16 moments" }).waitFor();
    expect(await page.getByRole("combobox", { name: "Width" }).inputValue()).toBe("bfloat16 moments");
    expect(demo.errors).toEqual([]);
  });
});

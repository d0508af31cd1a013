/** The bench itself: that it checks what it times, and says what it saw. Never how fast anything is. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { charts } from "../../bench/charts.js";
import type { Effort } from "../../bench/effort.js";
import { type Entrant, verifySteps } from "../../bench/entrants/entrant.js";
import { entrants } from "../../bench/entrants/index.js";
import { NATIVE, NATIVE_2, NATIVE_LOAD_STORE_2 } from "../../bench/entrants/native.js";
import { alternate, ratio, spread, timeCalls } from "../../bench/measure.js";
import { createModel, loopStep } from "../../bench/model.js";
import { compileNative } from "../../bench/native/process.js";
import { PAGES, publish, regions } from "../../bench/publish.js";
import { Report, type Results } from "../../bench/report.js";
import { SECTIONS } from "../../bench/sections.js";
import { race, STEP } from "../../bench/step.js";
import { Terminal } from "../../bench/terminal.js";
import { fill } from "../../scripts/regions.js";

/** Everything once, at sizes that take no time. */
const TINY: Effort = { sizes: [16, 4096], plan: () => ({ rounds: 2, milliseconds: 0.01, warmUp: 0 }) };

function output(isTTY: boolean) {
  const written: string[] = [];
  const write = (text: string | Uint8Array) => written.push(String(text)) > 0;
  return { written, terminal: new Terminal({ write, isTTY, columns: 40 }) };
}

const native = "version" in compileNative();

describe("a run of everything", () => {
  const { written, terminal } = output(false);
  const report = new Report(terminal);
  let results: Results;

  it.each(Object.entries(SECTIONS))("section %s", async (_, section) => {
    await section(report, TINY);
    results = report.results(true);
  });

  it("has a row for every contender at every size it runs at, in nanoseconds > 0 and quartiles around the median", () => {
    const { list } = entrants();
    const expected = TINY.sizes.flatMap((length) => list.map(({ name }) => `${name} at ${length}`));
    const steps = results.timings.filter(({ section }) => section === STEP);
    expect(steps.map(({ contender, length }) => `${contender} at ${length}`)).toEqual(expected);
    for (const { ns, ratio } of results.timings) {
      for (const { low, median, high } of ratio === null ? [ns] : [ns, ratio]) {
        expect(low).toBeGreaterThan(0);
        expect(median).toBeGreaterThanOrEqual(low);
        expect(high).toBeGreaterThanOrEqual(median);
      }
    }
  });

  it(`has the package, libraries, a loop, limits${native ? ", C++" : " (C++ left out: no compiler, or no AVX2)"}`, () => {
    const { list, notes } = entrants();
    const kinds = new Set(list.map(({ kind }) => kind));
    const names = list.map(({ name }) => name);
    expect([...kinds].sort()).toEqual(["library", "limit", "loop", ...(native ? ["native"] : []), "package"]);
    for (const name of [NATIVE, NATIVE_2, NATIVE_LOAD_STORE_2]) expect(names.includes(name)).toBe(native);
    expect(notes[0]).toMatch(native ? /^C\+\+: .*-O3/ : /^C\+\+: left out/);
  });

  it("says what ran on what, and judges the goals of the sizes it ran", () => {
    expect(results.host.cpu).toContain("cores");
    expect(results.host.engine).toBe(`Node ${process.version}, V8 ${process.versions.v8}`);
    expect(results.host.peers).toMatch(/tfjs-core 4\.\d+\.\d+.*@jax-js\/jax 0\.\d+\.\d+/);
    const goals = results.goals.map(({ goal }) => goal);
    expect(goals).toContain("16: the fastest JavaScript library ÷ fused-adam at least 30");
    expect(goals).toContain("4,096: sqrt + div only ÷ fused-adam at least 0.9");
    expect(goals).toContain("4,096: 2 threads ÷ 1 thread at most 1.05");
    expect(new Set(goals).size).toBe(goals.length);
  });

  it("prints lines, and rewrites none where there is no terminal", () => {
    expect(written.join("")).toContain("| fused-adam ");
    expect(written.join("")).not.toContain("\r");
  });

  it("fills every region of the pages that have figures, and nothing else of them", () => {
    const pages = PAGES.map((page) => readFileSync(new URL(`../../${page}`, import.meta.url), "utf8"));
    const filled = fill("bench", pages, regions(results));
    const outside = (text: string) => text.replace(/(<!-- bench:\w+ -->).*?(<!-- \/bench)/gs, "$1$2");
    expect(filled.map(outside)).toEqual(pages.map(outside));
    const all = filled.join("");
    for (const { contender } of results.timings) expect(all).toContain(`| ${contender} `);
    for (const { section } of results.rows) expect(all).toContain(`| ${section} `);
    for (const { goal, saw } of results.goals) expect(all).toMatch(new RegExp(`${literally(goal)}.*${literally(saw)}`));
  });

  it("draws every line with its name, a title and a description", () => {
    const steps = results.timings.filter(({ section }) => section === STEP);
    const drawn = charts(steps);
    const all = drawn.map(({ svg }) => svg).join("");
    for (const { svg, title } of drawn) {
      expect(svg.startsWith("<svg ")).toBe(true);
      expect(svg).toContain(`<title>${title}</title><desc>Nanoseconds per parameter`);
      expect(svg).toContain("prefers-color-scheme: dark");
      expect(svg).not.toMatch(/NaN|undefined/);
    }
    for (const name of ["fused-adam", "jax-js wasm", "JavaScript loop", "loads and stores only"])
      expect(all).toContain(`>${name}</text>`);
  });

  it("publishes no part of a run", () => {
    const nowhere = new URL("../../build/nowhere/", import.meta.url);
    expect(() => publish(report.results(false), nowhere)).toThrow("expected a full run of everything");
  });
});

function literally(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

/** A contender whose step is the loop's, and then something else. */
function wrong(spoil: (views: ReturnType<typeof createModel>["views"], step: number) => void): Entrant {
  return {
    name: "wrong",
    kind: "loop",
    memory: 16,
    async open(length) {
      const { views } = createModel(length);
      let t = 0;
      const step = () => {
        loopStep(views, ++t);
        spoil(views, t);
      };
      const contender = { name: "wrong", step };
      const verify = verifySteps(contender, length, (region) => [views[region]], { tolerance: 2 ** -20 });
      return { ...contender, verify, close: () => {} };
    },
  };
}

describe("who is wrong is not timed", () => {
  const length = 70_000;
  const report = () => new Report(output(false).terminal);
  const FAULTS: readonly [string, string, Entrant][] = [
    ["one parameter, the last", `param[${length - 1}]`, wrong(({ param }) => (param[length - 1]! += 1e-6))],
    ["one first moment, behind the first period", "expAvg[65600]", wrong(({ expAvg }) => (expAvg[65_600]! *= 1.00001))],
    ["one second moment", "expAvgSq[7]", wrong(({ expAvgSq }) => (expAvgSq[7]! *= 1.00001))],
    ["a NaN", "param[123]", wrong(({ param }) => (param[123] = Number.NaN))],
    ["no weight decay", "param[0]", wrong(({ param }) => param.set(param.map((p) => p / (1 - 1e-5))))],
    [
      "a step too few",
      "param[0]",
      wrong(({ param, expAvg, expAvgSq }, t) => t === 2 && loopStep({ param, grad: param, expAvg, expAvgSq }, 1)),
    ],
  ];

  it.each(FAULTS)("%s", async (_, where, entrant) => {
    await expect(race([entrant], length, TINY, report())).rejects.toThrow(`"wrong": expected ${where} = `);
  });

  it("and the same without a fault is", async () => {
    const samples = await race([wrong(() => {})], length, TINY, report());
    expect(samples.get("wrong")).toHaveLength(2);
  });

  it("values that are missing", async () => {
    const { views } = createModel(32);
    const contender = { name: "short", step: () => {} };
    const verify = verifySteps(contender, 32, (region) => [views[region].subarray(1)], { tolerance: Number.MAX_VALUE });
    await expect(verify()).rejects.toThrow('"short": expected 32 values of param, got 31');
  });
});

describe("alternate", () => {
  it("runs everybody in every round, first in turn, and pairs their times up", async () => {
    const order: string[] = [];
    let round = 0;
    const contender = (name: string, factor: number) => ({
      name,
      time: async () => {
        order.push(name);
        return factor * 1000 * (1 + Math.floor(round++ / 3));
      },
    });
    const plan = { rounds: 3, milliseconds: 0, warmUp: 0 };
    const samples = await alternate([contender("a", 1), contender("b", 2), contender("c", 4)], plan);
    expect(order.join("")).toBe("abc" + "abcbcacab");
    expect(samples.get("b")).toEqual([4000, 6000, 8000]);
    expect(ratio(samples, "c", "a")).toEqual({ median: 4, low: 4, high: 4 });
  });

  it("takes the quartiles by linear interpolation", () => {
    expect(spread([4, 1, 3, 2])).toEqual({ median: 2.5, low: 1.75, high: 3.25 });
  });

  it("makes as many calls as it was told, each after what comes before it", () => {
    const calls: string[] = [];
    timeCalls(
      () => calls.push("step"),
      3,
      () => calls.push("before"),
    );
    expect(calls).toEqual(["before", "step", "before", "step", "before", "step"]);
    let count = 0;
    timeCalls(() => count++, 160);
    expect(count).toBe(160);
  });
});

describe("a terminal", () => {
  it("has its last line rewritten, cut to its width, and cleared for what stays", () => {
    const { written, terminal } = output(true);
    terminal.status("step, 16:", "round 1 of 2");
    terminal.status("step, 16:", "x".repeat(100));
    terminal.print("done");
    expect(written).toEqual([
      "step, 16: round 1 of 2",
      "\r\x1b[K",
      `step, 16: ${"x".repeat(29)}`,
      "\r\x1b[K",
      "done\n",
    ]);
  });

  it("is spared the details where it is a file", () => {
    const { written, terminal } = output(false);
    terminal.status("step, 16:", "round 1");
    terminal.status("step, 16:", "round 2");
    terminal.print("done");
    expect(written).toEqual(["step, 16:\n", "done\n"]);
  });
});

describe("regions of documents", () => {
  it("are named in an error when nothing is known of them, when no document has them, when they stand twice", () => {
    const region = "<!-- bench:a -->\nold\n<!-- /bench:a -->\n";
    expect(fill("bench", ["text", region], { a: "$1 new" })).toEqual(["text", region.replace("old", "$1 new")]);
    expect(() => fill("bench", ["<!-- bench:b -->\n<!-- /bench:b -->"], { a: "" })).toThrow('"bench:b": expected a');
    expect(() => fill("bench", ["text"], { a: "" })).toThrow('"bench:a": expected a region in ');
    expect(() => fill("bench", [region, region], { a: "" })).toThrow('"bench:a": expected one place');
  });
});

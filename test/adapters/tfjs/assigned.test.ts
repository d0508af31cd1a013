/**
 * Between steps somebody assigns new values. Moments are kept, parameters start from the new values, and what was assigned is never
 * written to: all with the bits of a core that takes the same steps.
 */
import { AdamW } from "fused-adam";
import { adamw } from "fused-adam/tfjs";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Findings, findingsOf, OPTIONS, SCENARIOS } from "../../support/assigned.js";
import { noChromium } from "../../support/chromium.js";
import { gpuPage } from "../../support/gpu.js";
import { unless } from "../../support/host.js";
import { BACKENDS, tf, use } from "../../support/tfjs.js";

/** A test for each set of options and each scenario. */
function holds(find: (options: string, scenario: string) => Findings | Promise<Findings>): void {
  describe.each(Object.keys(OPTIONS))("%s", (options) => {
    it.each(Object.entries(SCENARIOS))("%s: no bit off", async (scenario, { run: _, ...counts }) => {
      expect(await find(options, scenario)).toEqual({ ...counts, differences: [] });
    });
  });
}

describe.each(BACKENDS)("%s", (backend) => {
  beforeEach(() => use(backend));
  afterEach(() => tf.disposeVariables());
  holds((options, scenario) => findingsOf({ tf, adamw, AdamW }, scenario, OPTIONS[options]!));
});

interface Tools {
  /** All findings on a backend, by options and scenario. */
  findAll(backend: string): Promise<Record<string, Record<string, Findings>>>;
}

const PAGE = `
import * as core from "@tensorflow/tfjs-core";
import * as layers from "@tensorflow/tfjs-layers";
import "@tensorflow/tfjs-backend-webgl";
import "@tensorflow/tfjs-backend-webgpu";
import { AdamW } from "fused-adam";
import { adamw } from "fused-adam/tfjs";
import { findingsOf, OPTIONS, SCENARIOS } from "./test/support/assigned.js";
const tf = { ...core, ...layers };
Object.assign(globalThis, {
  async findAll(backend) {
    await tf.setBackend(backend);
    const all = {};
    for (const [name, options] of Object.entries(OPTIONS)) {
      all[name] = {};
      for (const scenario of Object.keys(SCENARIOS)) {
        all[name][scenario] = await findingsOf({ tf, adamw, AdamW }, scenario, options);
        tf.disposeVariables();
      }
    }
    return all;
  },
  ready: true,
});
`;

describe("in Chromium, on SwiftShader", unless(noChromium), () => {
  const call = gpuPage<Tools>(PAGE);
  describe.each(["webgl", "webgpu"])("%s", (backend) => {
    let all: Awaited<ReturnType<Tools["findAll"]>>;
    beforeAll(async () => {
      all = await call(({ findAll }, backend) => findAll(backend), backend);
    });
    holds((options, scenario) => all[options]![scenario]!);
  });
});

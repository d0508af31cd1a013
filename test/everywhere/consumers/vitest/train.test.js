import { writeFileSync } from "node:fs";
import { expect, test, vi } from "vitest";
import * as api from "./package.js";
import { train } from "./train.js";

test("trains", async () => {
  const warn = vi.spyOn(console, "warn");
  const results = { step: await train(api, "step"), stepAsync: await train(api, "stepAsync") };
  writeFileSync("results.json", JSON.stringify(results));
  expect(warn.mock.calls).toEqual([]);
});

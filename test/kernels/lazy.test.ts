/** Kernels that a page loads when they are asked for. What is loaded once is kept, so nothing else is in this file. */
import { AdamW, preload } from "fused-adam";
import { expect, it } from "vitest";
import { caught, expectError, rangeError, stateError, typeError } from "../support/api.js";
import { dyadic } from "../support/model.js";
import { enableRelaxed } from "../support/wasm.js";

const relaxed = enableRelaxed();
const createSync = () => AdamW.createSync([dyadic(2, 1)], { kernel: "relaxed" }).kernel;

it("createSync: relaxed is an Error that names preload, until it is loaded, and for the engine alone from then on", async () => {
  await preload();
  await preload({ kernel: "simd" });
  const before = await caught(createSync);
  expectError(before, stateError("kernel", "ERR_KERNEL_UNAVAILABLE"));
  expect(String(before)).toContain(`preload({ kernel: "relaxed" })`);
  for (const [options, error] of [
    [{ kernel: "RELAXED" }, rangeError("kernel")],
    [{ kernel: 1 }, typeError("kernel")],
    [5, typeError("options")],
    [{ kernal: "relaxed" }, typeError("options", "ERR_UNKNOWN_OPTION")],
  ] as const) {
    expectError(await caught(() => preload(options as never)), error);
  }
  await caught(createSync, "a refused call loads nothing");

  await preload({ kernel: "relaxed" });
  if (relaxed) expect(createSync()).toBe("relaxed");
  else expect(String(await caught(createSync))).toContain("an engine without relaxed WebAssembly SIMD");
});

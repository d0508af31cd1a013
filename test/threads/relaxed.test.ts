/** Relaxed SIMD is exempt from the same bits everywhere, but not from the same bits on any number of threads. */
import { preload } from "fused-adam";
import { expect, it } from "vitest";
import { ordinary } from "../support/data.js";
import { unless } from "../support/host.js";
import { noRelaxed } from "../support/wasm.js";
import { CALLS, call, create, expectSameRun, fillAll, SMALL } from "./support.js";

it("relaxed: 33 steps on 2 and 3 threads as on 1, norm and flush included", unless(noRelaxed()), async () => {
  await preload({ kernel: "relaxed" });
  const params = { a: ordinary(SMALL + 77, 1), b: ordinary(9999, 2) };
  const all = [1, 2, 3].map((threads) => create("adamw", params, { kernel: "relaxed", threads, amsgrad: true }));
  for (let n = 0; n < 33; n++) {
    fillAll(all, n, ordinary);
    const options = n % 3 === 0 ? { clipNorm: 1, zeroGrad: true } : {};
    const expected = all[0]!.step(options);
    for (const optimizer of all.slice(1)) {
      expect(await call(CALLS[n % 2]!, optimizer, options)).toEqual(expected);
      if (n % 8 === 0) expectSameRun(optimizer, all[0]!, `step ${n + 1} on ${optimizer.threads}`);
    }
  }
  expect(all.map(({ kernel, threads }) => [kernel, threads])).toEqual([1, 2, 3].map((n) => ["relaxed", n]));
  for (const optimizer of all) optimizer.dispose();
});

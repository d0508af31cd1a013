/** A program that holds the package twice, as ESM and as CommonJS: what one half makes, the other half takes. */
import { createRequire } from "node:module";
import * as esm from "fused-adam";
import * as esmCheckpoint from "fused-adam/checkpoint";
import { expect, it } from "vitest";
import { expectSameBits } from "../support/bits.js";

const require = createRequire(import.meta.url);
const cjs: typeof esm = require("fused-adam");
const cjsCheckpoint: typeof esmCheckpoint = require("fused-adam/checkpoint");
const { version } = require("fused-adam/package.json");

function trained({ AdamW }: typeof esm) {
  const optimizer = AdamW.createSync({ w: new Float32Array([1, 2, 3]) });
  for (let step = 1; step <= 3; step++) {
    optimizer.grad("w").set([1, -2, 0.5]);
    optimizer.step();
  }
  return optimizer;
}

it("they are two copies, with the same bits", () => {
  expect(cjs.AdamW).not.toBe(esm.AdamW);
  expectSameBits("w", trained(cjs).param("w"), trained(esm).param("w"));
});

it.each([
  ["CommonJS core, ESM checkpoints", cjs, esmCheckpoint],
  ["ESM core, CommonJS checkpoints", esm, cjsCheckpoint],
] as const)(
  "%s: saved by one, loaded by the other, goes on bit for bit",
  (_, core, { encodeCheckpoint, loadCheckpoint }) => {
    const optimizer = trained(core);
    const bytes = encodeCheckpoint(optimizer, { params: true });
    const resumed = core.AdamW.createSync({ w: { shape: [3] } });
    loadCheckpoint(resumed, bytes);
    for (const each of [optimizer, resumed]) {
      each.grad("w").fill(1);
      each.step();
    }
    expectSameBits("w", resumed.param("w"), optimizer.param("w"));
  },
);

it("both have threads, and disposing of one leaves the other its workers", () => {
  const optimizers = [esm, cjs].map(({ AdamW }) => AdamW.createSync({ w: { shape: [70_000] } }, { threads: 2 }));
  for (const optimizer of optimizers) optimizer.grad("w").fill(0.5);
  const [one, other] = optimizers as [esm.AdamW, esm.AdamW];
  expect(one.step({ clipNorm: 1 })).toEqual(other.step({ clipNorm: 1 }));
  expectSameBits("w", one.param("w"), other.param("w"));
  one.dispose();
  expect(other.step().step).toBe(2);
  other.dispose();
});

it("what another version made is refused, and the message says which version takes it", () => {
  const stranger = { [Symbol.for("fused-adam 0.0.9 exclusively")]: () => {} } as unknown as esm.AdamW;
  expect(() => esmCheckpoint.encodeCheckpoint(stranger)).toThrow(
    `"optimizer": expected an Adam or an AdamW of fused-adam ${version}, got an object`,
  );
});

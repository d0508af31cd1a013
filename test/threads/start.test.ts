/** Workers that take their time: to start, for which nobody waits but a `stepAsync`, and to leave a job. */
import { AdamW } from "fused-adam";
import { expect, it } from "vitest";
import { dyadic } from "../support/model.js";
import { expectSameRun, fillAll, large } from "./support.js";
import { Workers } from "./workers.js";

function block(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

it("step goes on without them, stepAsync waits for them, and 6 s of a blocked event loop count for nothing", async () => {
  const workers = new Workers();
  const optimizer = workers.spawn(() => AdamW.createSync(large(), { threads: 3 }), false);
  const twin = AdamW.createSync(large());
  for (let n = 0; n < 3; n++) {
    fillAll([optimizer, twin], n, dyadic);
    if (n === 2) block(6000);
    expect(optimizer.step({ clipNorm: 1 })).toEqual(twin.step({ clipNorm: 1 }));
  }
  expectSameRun(optimizer, twin, "without workers");

  fillAll([optimizer, twin], 3, dyadic);
  let settled = false;
  const step = optimizer.stepAsync().finally(() => {
    settled = true;
  });
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setTimeout(resolve, 50));
  expect(settled).toBe(false);
  // One of them, late as it is, finds the job that it was started for.
  workers.start();
  expect(await step).toEqual(twin.step());
  expectSameRun(optimizer, twin, "with workers");
  optimizer.dispose();
});

it("a worker that is slow to leave one job does not sleep through the next, which is published meanwhile", async () => {
  const workers = new Workers();
  const [optimizer, twin] = [workers.spawn(() => AdamW.createSync(large(), { threads: 2 })), AdamW.createSync(large())];
  for (let n = 0; n < 4; n++) {
    fillAll([optimizer, twin], n, dyadic);
    workers.next("Linger");
    expect(optimizer.step()).toEqual(twin.step());
    const step = optimizer.stepAsync();
    expect(workers.arrived).toBeGreaterThan(0);
    expect(await step).toEqual(twin.step());
    workers.next("Work");
  }
  expectSameRun(optimizer, twin, "after 8 steps");
  optimizer.dispose();
});

it("workers that enter a job late, and the host that writes it slowly, do not meet: 80 clipped steps, as on one thread", async () => {
  const workers = new Workers();
  const [optimizer, twin] = [workers.spawn(() => AdamW.createSync(large(), { threads: 4 })), AdamW.createSync(large())];
  fillAll([optimizer, twin], 1, dyadic);
  await optimizer.stepAsync();
  twin.step();
  workers.next("Dawdle");
  for (let n = 0; n < 80; n++) {
    // Jobs of 27 blocks and of 25, in turns: what is meant for one does not fit the other.
    const options = { clipNorm: 1, skip: n % 2 ? ["b"] : [] };
    expect(n % 3 > 0 ? await optimizer.stepAsync(options) : optimizer.step(options)).toEqual(twin.step(options));
    if (n % 4 === 3) expectSameRun(optimizer, twin, `step ${n + 2}`);
  }
  optimizer.dispose();
});

/** What a disposed optimizer with threads still holds. */
import { expect, it } from "vitest";
import { noNodeOptions, on, unless } from "../support/host.js";
import { child } from "./workers.js";

/** Elements of a model of 128 MiB: parameter, gradient and two moments. */
const LENGTH = 8 * 2 ** 20;

it(
  "ten of 128 MiB, disposed in turn: no memory is kept, though optimizers, groups and results are; resident grows by < 400 MiB",
  unless(noNodeOptions, on("bun") && "collects garbage at moments of its own"),
  async () => {
    const script = `
      import { setTimeout as sleep } from "node:timers/promises";
      const { AdamW } = await import("fused-adam");
      let exits = [];
      process.on("worker", (worker) => exits.push(new Promise((resolve) => worker.once("exit", resolve))));
      const kept = [];
      const memories = [];
      async function use(n) {
        const optimizer = AdamW.createSync({ w: { shape: [${LENGTH}] } }, { threads: 2 });
        for (const view of [optimizer.param("w"), optimizer.grad("w")]) view.fill(1);
        memories.push(new WeakRef(optimizer.memory), new WeakRef(optimizer.memory.buffer));
        const result = n % 2 ? optimizer.step({ clipNorm: 1 }) : await optimizer.stepAsync({ clipNorm: 1 });
        kept.push(optimizer, optimizer.paramGroups, optimizer.paramGroups[0], result);
        optimizer.dispose();
      }
      const alive = () => memories.filter((memory) => memory.deref() !== undefined).length;
      const collect = async () => { for (let i = 0; i < 5 || (i < 100 && alive() > 0); i++) { await sleep(20); gc(); } };
      await use(0);
      await Promise.all(exits);
      await collect();
      const before = process.memoryUsage.rss();
      for (let n = 1; n <= 10; n++) {
        await use(n);
        await Promise.all(exits);
        exits = [];
        await collect();
      }
      const grown = process.memoryUsage.rss() - before;
      console.log(JSON.stringify({ kept: kept.length, alive: alive(), small: grown < 400 * 2 ** 20, grown }));`;
    const { grown, ...rest } = JSON.parse(await child(script, ["--expose-gc"]));
    expect(rest, `grown by ${grown} bytes`).toEqual({ kept: 44, alive: 0, small: true });
  },
);

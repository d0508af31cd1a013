/** Many pools, many threads, many steps. */
import { existsSync } from "node:fs";
import { AdamW } from "fused-adam";
import { expect, it } from "vitest";
import { scalarKernels } from "../../src/kernels/scalar.js";
import { type Kernels, UPDATE_ROWS } from "../../src/kernels/table.js";
import { Pool } from "../../src/threads/pool.js";
import { noNodeOptions, notBuilt, on, unless } from "../support/host.js";
import { dyadic } from "../support/model.js";
import { expectSameRun, fillAll, large, SMALL } from "./support.js";
import { child } from "./workers.js";

const TASKS = "/proc/self/task";

it("two optimizers in turns, 10,000 steps, every 50th of them asynchronous: as on one thread", async () => {
  const params = () => ({ a: dyadic(SMALL - 3, 1), b: dyadic(5, 2) });
  const all = [2, 2, 1].map((threads) => AdamW.createSync(params(), { threads })) as [AdamW, AdamW, AdamW];
  const [first, second, alone] = all;
  for (let n = 0; n < 5000; n++) {
    if (n % 500 === 0) fillAll(all, n, dyadic);
    const options = n % 20 === 0 ? { clipNorm: 100 } : {};
    const expected = alone.step(options);
    for (const [i, optimizer] of [first, second].entries()) {
      const result = n % 50 === 7 * i ? await optimizer.stepAsync(options) : optimizer.step(options);
      if (result.step !== expected.step || result.gradNorm !== expected.gradNorm) expect(result).toEqual(expected);
    }
    if (n % 1000 === 999) for (const optimizer of [first, second]) expectSameRun(optimizer, alone, `step ${n + 1}`);
  }
  for (const optimizer of all) optimizer.dispose();
});

it("two pools at the same time: 100 steps of each under way together", async () => {
  const all = [3, 2, 1].map((threads) => AdamW.createSync(large(), { threads })) as [AdamW, AdamW, AdamW];
  const [first, second, alone] = all;
  for (let n = 0; n < 100; n++) {
    if (n % 25 === 0) fillAll(all, n, dyadic);
    const expected = alone.step({ clipNorm: 9 });
    expect(await Promise.all([first.stepAsync({ clipNorm: 9 }), second.stepAsync({ clipNorm: 9 })])).toEqual([
      expected,
      expected,
    ]);
  }
  for (const optimizer of [first, second]) expectSameRun(optimizer, alone, "after 100 steps");
  for (const optimizer of all) optimizer.dispose();
});

it("9 threads for one element: an update and a sum of squares, 200 jobs of each kind on the workers themselves", async () => {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const kernels: Kernels = scalarKernels(memory);
  const pool = new Pool(9, memory, undefined, 2, 1);
  const { program } = pool;
  const at = { param: 1024, grad: 1028, expAvg: 1032, expAvgSq: 1036, maxExpAvgSq: -1, copy: -1 };
  const view = new Float32Array(memory.buffer, 1024, 5);
  const row = UPDATE_ROWS.findIndex(({ name }) => name === "decoupled");
  for (let n = 1; n <= 400; n++) {
    // m = 0·m + 1·grad, v = 1·v + 0, so the parameter moves by 1·m / (√v·1 + 1).
    view.set([n, 3, 0, 0, 7]);
    program.clear();
    program.sumSquares(at.grad, 1);
    program.update(row, at, 1, false, Float32Array.of(0, 1, 0, 0, 1, 1, 1, 1, 1));
    if (n % 2) pool.run(kernels);
    else await pool.runAsync(kernels);
    expect([...view, program.total()]).toEqual([n - 3, 3, 3, 0, 7, 9]);
  }
  pool.close();
});

it("an optimizer of one element on 8 threads: 50 steps of each kind", async () => {
  const [many, alone] = [8, 1].map((threads) => AdamW.createSync({ w: dyadic(1, 1) }, { threads })) as [AdamW, AdamW];
  for (let n = 0; n < 100; n++) {
    fillAll([many, alone], n, dyadic);
    const expected = alone.step({ clipNorm: 1 });
    expect(n % 2 ? many.step({ clipNorm: 1 }) : await many.stepAsync({ clipNorm: 1 })).toEqual(expected);
  }
  expectSameRun(many, alone, "after 100 steps");
  many.dispose();
});

it(
  "threads do not pile up: after 12 optimizers on 3 threads, made and disposed in turn, as many as after one",
  unless(
    !existsSync(TASKS) && `needs ${TASKS}`,
    on("bun") && "Bun starts and ends threads of its own",
    notBuilt,
    noNodeOptions,
  ),
  async () => {
    const script = `
      import { readdirSync } from "node:fs";
      import { setTimeout as sleep } from "node:timers/promises";
      import { AdamW } from "fused-adam";
      const exits = [];
      process.on("worker", (worker) => exits.push(new Promise((resolve) => worker.once("exit", resolve))));
      const count = () => readdirSync("${TASKS}").length;
      async function use(n) {
        const optimizer = AdamW.createSync({ w: { shape: [${SMALL}] } }, { threads: 3 });
        if (n % 4 === 0) await optimizer.stepAsync();
        if (n % 4 === 1) optimizer.step();
        if (n % 4 === 2) optimizer.stepAsync().catch(() => {});
        await sleep(0);
        const used = count();
        optimizer.dispose();
        await Promise.all(exits);
        return used;
      }
      const atFirst = count();
      const settle = async (most) => { for (let i = 0; count() > most && i < 100; i++) await sleep(50); };
      await use(0);
      await settle(atFirst);
      const before = count();
      let most = 0;
      for (let n = 1; n <= 12; n++) most = Math.max(most, await use(n));
      await settle(before);
      console.log(exits.length, most - before, count() - before);`;
    // A worker of the last one may still have been there when the next began.
    expect(await child(script)).toMatch(/^26 [1-4] (0|-\d+)$/);
  },
);

/** Programs as users write them, each in a process of its own, which must end by itself. */
import { describe, expect, it } from "vitest";
import { fileUnless, noNodeOptions, notBuilt, on } from "../support/host.js";
import { SMALL } from "./support.js";
import { child } from "./workers.js";

fileUnless(notBuilt, noNodeOptions);

const START = `
  const { AdamW } = await import("fused-adam");
  const make = (threads = 3, length = ${SMALL}) => AdamW.createSync({ w: { shape: [length] } }, { threads });
  const workers = [];
  process.on("worker", (worker) => workers.push(worker));
`;

/** Script, and what it prints. */
const SCRIPTS: Record<string, readonly [string, string]> = {
  "created and nothing else": [`make();`, ""],
  "after a step, while workers still watch for another": [
    `const optimizer = make(); for (let i = 0; i < 50; i++) optimizer.step(); console.log(optimizer.threads);`,
    "3",
  ],
  "after being idle": [
    `const optimizer = make(); optimizer.step(); setTimeout(() => console.log(optimizer.step().step), 300);`,
    "2",
  ],
  "which only awaits stepAsync: it is done, and nothing else keeps the process": [
    `const optimizer = make(2, ${40 * SMALL}); for (let i = 0; i < 5; i++) await optimizer.stepAsync(); console.log((await optimizer.stepAsync()).step);`,
    "6",
  ],
  "which does not await stepAsync": [
    `make(2, ${40 * SMALL}).stepAsync().then(({ step }) => console.log("done", step));`,
    "done 1",
  ],
  "disposed, at once, after a step and in a stepAsync": [
    `make().dispose();
     const second = make(); second.step(); second.dispose();
     const third = make(); third.stepAsync().catch(({ code }) => console.log(code)); third.dispose();`,
    "ERR_DISPOSED",
  ],
  "a worker that died, and one more step": [
    `const optimizer = make(); await optimizer.stepAsync(); await workers[0].terminate(); console.log(optimizer.step().step, optimizer.threads);`,
    "2 3",
  ],
  "ended by process.exit in a stepAsync": [
    `const optimizer = make(); void optimizer.stepAsync(); setImmediate(() => { console.log("exit"); process.exit(0); });`,
    "exit",
  ],
  "an error that nobody catches, in a stepAsync": [
    `process.on("uncaughtException", ({ message }) => console.log(message)); void make().stepAsync(); setImmediate(() => { throw new Error("the user's"); });`,
    "the user's",
  ],
  "in a worker of the user's own, which ends as well": [
    `import { Worker } from "node:worker_threads";
     const url = new URL("data:text/javascript," + encodeURIComponent(\`
       import { parentPort, workerData } from "node:worker_threads";
       const { AdamW } = await import(workerData);
       const optimizer = AdamW.createSync({ w: { shape: [${SMALL}] } }, { threads: 3 });
       optimizer.grad("w").fill(1);
       optimizer.step();
       await optimizer.stepAsync();
       parentPort.postMessage([optimizer.threads, optimizer.step().step]);\`));
     const worker = new Worker(url, { workerData: import.meta.resolve("fused-adam") });
     worker.on("message", (message) => console.log(...message)).on("exit", (code) => console.log("exit", code));`,
    "3 3\nexit 0",
  ],
};

describe("a process ends by itself, its optimizer", () => {
  it.concurrent.each(Object.entries(SCRIPTS))("%s", async (_, [script, printed]) => {
    expect(await child(START + script)).toBe(printed);
  });
});

it("an optimizer dropped without dispose: its workers end within 400 garbage collections", async ({ skip }) => {
  skip(on("bun"), "Bun has not finalized a dropped optimizer by then");
  const script = `${START}
    const exits = [];
    process.on("worker", (worker) => exits.push(new Promise((resolve) => worker.once("exit", resolve))));
    let optimizer = make();
    optimizer.step();
    await optimizer.stepAsync();
    optimizer.stateDict();
    optimizer = undefined;
    const all = Promise.all(exits).then(() => true);
    let ended = false;
    for (let collections = 0; !ended && collections < 400; collections++) {
      gc();
      ended = await Promise.race([all, new Promise((resolve) => setTimeout(resolve, 50, false))]);
    }
    console.log(exits.length, ended);`;
  expect(await child(script, ["--expose-gc"])).toBe("2 true");
});

describe("stepAsync does not block", () => {
  const TURNS = `${START}
    const optimizer = make(2, ${64 * SMALL});
    await optimizer.stepAsync(); // workers have started
    messages = 0;
    const before = workers.length;
    let turns = 0;
    let running = true;
    const tick = () => { if (running) { turns++; setImmediate(tick); } };
    const twin = make(1, ${64 * SMALL});
    twin.step();
    optimizer.grad("w").fill(1);
    twin.grad("w").fill(1);
    // A busy machine may give this thread no time during one step. If steps blocked, there would be a turn or two in each.
    for (let tries = 0; tries < 200 && turns <= 10; tries++) {
      turns = 0;
      running = true;
      setImmediate(tick);
      await optimizer.stepAsync({ clipNorm: 1 });
      running = false;
      twin.step({ clipNorm: 1 });
    }
    const same = twin.param("w").every((x, i) => x === optimizer.param("w")[i]);
    console.log(before, turns > 10, same, waited > 0, messages > 0);`;
  const count = `
    let [waited, messages] = [0, 0];
    const { waitAsync } = Atomics;
    process.on("worker", (worker) => worker.on("message", () => messages++));`;

  it("the event loop turns more than 10 times during one of 200 over 4 Mi elements; no message is sent", async () => {
    const script = `${count} Atomics.waitAsync = (...args) => { waited++; return waitAsync.apply(Atomics, args); };`;
    expect(await child(script + TURNS)).toBe("1 true true true false");
  });

  it("the same by messages where Atomics.waitAsync is missing, and step sends none there either", async () => {
    const script = `${count} delete Atomics.waitAsync;`;
    expect(await child(script + TURNS)).toBe("1 true true false true");
    // Each of the two workers sends one as it starts and one as it leaves the stepAsync, early or late.
    const sync = `${script} ${START}
      const optimizer = make();
      await optimizer.stepAsync();
      for (let i = 0; i < 100; i++) optimizer.step();
      await new Promise((resolve) => setTimeout(resolve, 200));
      console.log(messages <= 4 ? "4 at most" : messages);`;
    expect(await child(sync)).toBe("4 at most");
  });
});

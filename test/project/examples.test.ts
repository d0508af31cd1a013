/** The examples run as their READMEs say, and train as the float32 reference does. */
import { execFileSync } from "node:child_process";
import { build } from "vite";
import { beforeAll, describe, expect, it } from "vitest";
import { adamwFor } from "../../examples/float32arrays/integrate.js";
import { createNetwork, pairsOf } from "../../examples/float32arrays/network.js";
import { trainEpoch } from "../../examples/float32arrays/train.js";
import { compile, hasCompiler } from "../../examples/foreign-memory/compile.js";
import { type Library, load } from "../../examples/foreign-memory/library.js";
import { createOptimizer, createTask, type Task } from "../../examples/foreign-memory/train.js";
import { loadDigits } from "../../examples/shared/digits.js";
import { createRng } from "../../examples/shared/rng.js";
import { train } from "../../examples/worker/train.js";
import { type ReferenceState, referenceStep } from "../reference.js";
import { expectSameBits } from "../support/bits.js";
import { noChromium } from "../support/chromium.js";
import { unless } from "../support/host.js";
import { hyperOf } from "../support/model.js";
import { stage } from "../support/pages.js";
import { root } from "../support/root.js";
import { fileIn, ISOLATED } from "../support/site.js";

/** What an example prints, and the numbers that follow a word in it. */
function run(example: string, env?: NodeJS.ProcessEnv): { text: string; numbers(after: string): number[] } {
  const file = `examples/${example}/main.ts`;
  const text = execFileSync(process.execPath, ["--import", "tsx", file], {
    cwd: root,
    encoding: "utf8",
    env,
    stdio: "pipe",
  });
  return {
    text,
    numbers: (word) => [...text.matchAll(new RegExp(`${word} ([\\d.]+)`, "g"))].map(([, x]) => Number(x)),
  };
}

function stateOf(param: Float32Array): ReferenceState {
  const zeros = () => new Float32Array(param.length);
  return { param: param.slice(), grad: zeros(), expAvg: zeros(), expAvgSq: zeros(), maxExpAvgSq: zeros(), step: 0 };
}

describe("float32arrays", () => {
  it("runs: the loss falls in every epoch, below a quarter of its first; nine digits of ten right", () => {
    const { numbers } = run("float32arrays");
    const losses = numbers("loss");
    expect(losses).toHaveLength(5);
    expect(losses).toEqual(losses.toSorted((a, b) => b - a));
    expect(losses.at(-1)! / losses[0]!).toBeLessThan(0.25);
    expect(numbers("held out:").at(-1)!).toBeGreaterThan(88);
  });

  it("an epoch leaves toygrad's parameters with the reference's bits, decay on weights alone", () => {
    const { train } = loadDigits(200, 10, 1);
    const hyper = { lr: 0.01, weightDecay: 0.1 };
    const [ours, theirs] = [createNetwork(createRng(1)), createNetwork(createRng(1))];
    trainEpoch(ours, train, 15, adamwFor(pairsOf(ours), hyper));

    const pairs = pairsOf(theirs);
    const states = pairs.map(({ params }) => stateOf(params));
    trainEpoch(theirs, train, 15, (size) => {
      for (const [i, { params, grads }] of pairs.entries()) {
        const isBias = i === 32 || i === 43;
        const options = { ...hyperOf("adamw", hyper), weightDecay: isBias ? 0 : 0.1 };
        states[i]!.grad.set(grads);
        referenceStep(states[i]!, { mode: "adamw", ...options, lr: 0.01 }, 1 / size);
        params.set(states[i]!.param);
        grads.fill(0);
      }
    });
    expect(pairs.map(({ params }) => params.length)).toEqual([...Array(32).fill(784), 32, ...Array(10).fill(32), 10]);
    for (const [i, { params }] of pairsOf(ours).entries()) expectSameBits(`tensor ${i}`, params, pairs[i]!.params);
  });
});

describe("tfjs", () => {
  it("runs: saved after 250 steps and loaded, the loss goes on falling; more than 85 of 100 digits right", () => {
    const { text, numbers } = run("tfjs");
    expect(text).toMatch(/4000 digits on the "wasm" backend, FusedAdamW\n/);
    const losses = numbers("loss");
    expect(losses).toHaveLength(3);
    expect(losses).toEqual(losses.toSorted((a, b) => b - a));
    expect(text).toMatch(/epoch 2: .*\nsaved and loaded: FusedAdamW after 250 steps\nepoch 3: .*\n$/s);
    const right = [...text.matchAll(/, ([\d.]+) % right/g)].map(([, percent]) => Number(percent));
    expect(right.at(-1)!).toBeGreaterThan(85);
  });
});

describe("worker", () => {
  it("runs in Node: on one thread and on two the losses are the same, fall, and every held-out sentence is right", () => {
    const { text, numbers } = run("worker");
    const losses = numbers("loss");
    expect(losses).toHaveLength(10);
    expect(losses.slice(5)).toEqual(losses.slice(0, 5));
    expect(losses.slice(0, 5)).toEqual(losses.slice(0, 5).toSorted((a, b) => b - a));
    expect(losses[4]!).toBeLessThan(Math.log(2) / 100);
    expect(text.match(/held out: 100 % right/g)).toHaveLength(2);
  });

  it("two threads leave the weights with the bits of one", async () => {
    const [one, two] = [await train(1, () => {}), await train(2, () => {})];
    expect([one.threads, two.threads]).toEqual([1, 2]);
    expectSameBits("weight", two.weight, one.weight);
  });

  describe("the page, in Chromium", unless(noChromium), () => {
    const outDir = `${root}/build/example-worker`;
    let headers = {};
    const pages = stage(async () => {
      await build({ configFile: `${root}/examples/worker/vite.config.ts`, build: { outDir }, logLevel: "error" });
      return async (path) => ({ ...(await fileIn(outDir, path)), headers });
    });

    it.each([
      ["isolated, on two threads", ISOLATED, 2],
      ["not isolated, on one", {}, 1],
    ])("%s: trains in its worker", async (_, sent, threads) => {
      headers = sent;
      const page = await pages.browser.newPage();
      await page.goto(`${pages.url}/`);
      const log = page.getByRole("log");
      await log.getByText("held out").waitFor();
      const lines = (await log.textContent())!.trim().split("\n");
      expect(lines.slice(0, 5).map((line) => line.replace(/[\d.]+$/, "x"))).toEqual(
        [20, 40, 60, 80, 100].map((step) => `step ${step}: loss x`),
      );
      expect(lines.at(-1)).toBe(`held out: 100 % right, ${threads} threads`);
      await page.close();
    });
  });
});

/** A view of one of a parameter's regions, made when it is needed. */
function view(lib: Library, { pointers }: Task, name: string, region: "param" | "grad" | "expAvg" | "expAvgSq") {
  return new Float32Array(lib.memory.buffer, pointers[name]![region], pointers[name]!.length);
}

describe("foreign-memory", unless(!hasCompiler() && "needs clang and wasm-ld"), () => {
  const STEPS = 40;
  let module: string;
  beforeAll(() => {
    module = compile();
  });
  const start = async () => {
    const lib = await load(module);
    return { lib, task: createTask(lib, 100, 1) };
  };

  it("runs: on the library's memory, the loss falls below a hundredth of its first, every point on its side", () => {
    const { text, numbers } = run("foreign-memory");
    expect(text).toMatch(/128 KiB, grown to 192 KiB/);
    expect(text).toMatch(/on that memory/);
    const losses = numbers("loss");
    expect(losses).toEqual(losses.toSorted((a, b) => b - a));
    expect(losses.at(-1)! / losses[0]!).toBeLessThan(0.01);
    expect(text.trimEnd()).toMatch(/100\.0 % right$/);
  });

  it("40 steps have the reference's bits, also after the library's memory has grown in between", async () => {
    const { lib, task } = await start();
    const optimizer = createOptimizer(lib, task, STEPS);
    const { lib: plainLib, task: plain } = await start();
    const states = Object.fromEntries(
      optimizer.names.map((name) => [name, stateOf(view(plainLib, plain, name, "param"))]),
    );
    for (let step = 1; step <= STEPS; step++) {
      expect(task.lossAndGradients()).toBe(plain.lossAndGradients());
      optimizer.step({ zeroGrad: true });
      const lr = (0.01 * (1 + Math.cos((Math.PI * step) / STEPS))) / 2;
      for (const [name, state] of Object.entries(states)) {
        state.grad.set(view(plainLib, plain, name, "grad"));
        const weightDecay = name.startsWith("weight") ? 0.01 : 0;
        referenceStep(state, { mode: "adamw", ...hyperOf("adamw"), lr, weightDecay });
        view(plainLib, plain, name, "param").set(state.param);
        view(plainLib, plain, name, "grad").fill(0);
      }
      if (step === STEPS / 2) {
        const [kept, { byteLength }] = [optimizer.param("weight0"), lib.memory.buffer];
        lib.allocate(1 << 20);
        expect(lib.memory.buffer.byteLength).toBeGreaterThan(byteLength);
        expect(kept.length).toBe(0);
      }
    }
    for (const [name, state] of Object.entries(states)) {
      expectSameBits(name, optimizer.param(name), state.param);
      expectSameBits(name, view(lib, task, name, "expAvg"), state.expAvg);
      expectSameBits(name, view(lib, task, name, "expAvgSq"), state.expAvgSq);
    }
  });

  it("a step changes no byte of the library's memory but parameters and moments", async () => {
    const { lib, task } = await start();
    const optimizer = createOptimizer(lib, task, STEPS);
    task.lossAndGradients();
    const before = new Uint8Array(lib.memory.buffer).slice();
    optimizer.step();
    const after = new Uint8Array(lib.memory.buffer).slice();
    expect(Buffer.compare(before, after)).not.toBe(0);
    for (const bytes of [before, after]) {
      for (const { param, expAvg, expAvgSq, length } of Object.values(task.pointers)) {
        for (const start of [param, expAvg, expAvgSq]) bytes.fill(0, start, start + 4 * length);
      }
    }
    expect(Buffer.compare(before, after)).toBe(0);
  });

  it("what is released is given out again", async () => {
    const { lib } = await start();
    const [a, b] = [lib.allocate(100), lib.allocate(100)];
    lib.release(a);
    expect([b - a, lib.allocate(90), lib.allocate(100) - b]).toEqual([128, a, 128]);
  });
});

it("foreign-memory without clang says what to install", () => {
  expect(() => run("foreign-memory", { ...process.env, PATH: "" })).toThrow(/apt-get install clang lld/);
});

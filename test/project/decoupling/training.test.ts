/** Runs of examples/decoupling: whether they are the package's, whether they can be broken off, and what they learn from. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { encodeCheckpoint, loadCheckpoint } from "fused-adam/checkpoint";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { addition } from "../../../examples/decoupling/addition.js";
import type { Job } from "../../../examples/decoupling/job.js";
import { checkpointOf, Journal } from "../../../examples/decoupling/journal.js";
import { Network } from "../../../examples/decoupling/network.js";
import type { RuleName } from "../../../examples/decoupling/rules.js";
import type { Task } from "../../../examples/decoupling/task.js";
import { TASKS, type TaskName } from "../../../examples/decoupling/tasks.js";
import { type Choice, Training } from "../../../examples/decoupling/training.js";
import { type ReferenceState, referenceStep } from "../../reference.js";
import { expectSameBits } from "../../support/bits.js";
import { hyperOf } from "../../support/model.js";
import { compiledNetwork, randomDataset, temporaryFolder } from "./support.js";

let module: WebAssembly.Module;
beforeAll(() => {
  module = compiledNetwork();
});

const NAMES = ["w1", "w2"] as const;

/** Batches of 3 out of 10 examples: three an epoch, and one example left over in each. */
const SMALL: Task = {
  hidden: 16,
  batch: 3,
  schedule: "linear",
  sigma: { w1: 0.5, w2: 0.25 },
  data: randomDataset(9, 4, 12, 5),
  split: () => {
    const numbers = Uint32Array.from({ length: 12 }, (_, i) => i);
    return { train: numbers.subarray(0, 10), validation: numbers.subarray(10), test: numbers.subarray(10) };
  },
};

function start(task: Task, choice: Choice) {
  const network = new Network(module, task.data, task.hidden, task.batch ?? task.split(1).train.length);
  return { network, training: new Training(task, network, choice) };
}

describe.each<[RuleName, "adamw" | "adam"]>([
  ["AdamW", "adamw"],
  ["Adam + L2", "adam"],
])("%s", (rule, mode) => {
  it.each([
    ["addition", addition(), 0.05],
    ["batches, the rate falling to 0", SMALL, 0.05],
  ])("40 steps of %s have the reference's bits", (_, task, lr) => {
    const choice = { rule, lr, weightDecay: 0.1, seed: 3, steps: 40 };
    const { training } = start(task, choice);
    const plain = start(task, choice);
    const view = (name: (typeof NAMES)[number], region: "param" | "grad") => {
      const { length, ...pointers } = plain.network.pointers[name];
      return new Float32Array(plain.network.memory.buffer, pointers[region], length);
    };
    const zeros = (length: number) => new Float32Array(length);
    const states = NAMES.map((name): ReferenceState => {
      const param = view(name, "param").slice();
      const { length } = param;
      return {
        param,
        grad: zeros(length),
        expAvg: zeros(length),
        expAvgSq: zeros(length),
        maxExpAvgSq: zeros(length),
        step: 0,
      };
    });
    // The batches that were given to the network, to give them once more.
    const batches: Uint32Array[] = [];
    const { gradients } = Network.prototype;
    vi.spyOn(Network.prototype, "gradients").mockImplementation(function (this: Network, batch) {
      batches.push(batch.slice());
      gradients.call(this, batch);
    });
    training.runTo(40);
    vi.restoreAllMocks();
    expect(batches).toHaveLength(40);

    for (const [i, batch] of batches.entries()) {
      plain.network.gradients(batch);
      const rate = task.schedule === "constant" ? lr : lr + (0 - lr) * ((i + 1) / 40);
      for (const [n, name] of NAMES.entries()) {
        states[n]!.grad.set(view(name, "grad"));
        referenceStep(states[n]!, { mode, ...hyperOf(mode), lr: rate, weightDecay: 0.1 });
        view(name, "param").set(states[n]!.param);
        view(name, "grad").fill(0);
      }
    }
    const { state } = training.optimizer.stateDict();
    for (const [n, name] of NAMES.entries()) {
      expectSameBits(name, training.optimizer.param(name), states[n]!.param);
      expectSameBits(`${name} exp_avg`, state[name]!.exp_avg, states[n]!.expAvg);
      expectSameBits(`${name} exp_avg_sq`, state[name]!.exp_avg_sq, states[n]!.expAvgSq);
    }
  });

  it.each([
    ["addition", addition()],
    ["batches", SMALL],
  ])(
    "%s, broken off after 17 of 40 steps and loaded elsewhere, ends with the bits of the run that was not",
    (_, task) => {
      const choice = { rule, lr: 0.03, weightDecay: 0.2, seed: 5, steps: 40 };
      const whole = start(task, choice).training;
      whole.runTo(40);
      const first = start(task, choice).training;
      first.runTo(17);
      const bytes = encodeCheckpoint(first.optimizer, { params: true });
      const second = start(task, choice);
      // What an earlier run in the same memory has left must not matter.
      second.network.gradients(task.split(9).train.subarray(0, 3));
      const { training } = { training: new Training(task, second.network, choice) };
      loadCheckpoint(training.optimizer, bytes);
      expect(training.step).toBe(17);
      training.runTo(40);
      for (const name of NAMES) expectSameBits(name, training.optimizer.param(name), whole.optimizer.param(name));
      expect(training.evaluate("test")).toEqual(whole.evaluate("test"));
    },
  );
});

describe("batches", () => {
  it("every epoch has each example at most once, in an order of its own; another seed has others", () => {
    const drawn = (seed: number) => {
      const { training, network } = start(SMALL, { rule: "AdamW", lr: 0.01, weightDecay: 0, seed, steps: 60 });
      const spy = vi.spyOn(network, "gradients");
      training.runTo(60);
      return spy.mock.calls.map(([batch]) => [...batch]);
    };
    const batches = drawn(1);
    const epochs = Array.from({ length: 20 }, (_, i) => batches.slice(3 * i, 3 * i + 3).flat());
    for (const epoch of epochs) expect(new Set(epoch).size).toBe(9);
    expect(new Set(epochs.map(String)).size).toBe(20);
    // Whatever is left over is so by chance: none of ten always.
    expect(new Set(epochs.flat())).toEqual(new Set(SMALL.split(1).train));
    expect(drawn(2)).not.toEqual(batches);
  });
});

describe("starting weights", () => {
  it("have mean 0, the standard deviation asked for, and a normal distribution's shares within one and two of it, to 2 %", () => {
    const task = addition();
    const { training } = start(task, { rule: "AdamW", lr: 0.01, weightDecay: 0, seed: 1, steps: 1 });
    for (const [name, sigma] of [
      ["w1", Math.SQRT1_2],
      ["w2", Math.sqrt(2 / 64)],
    ] as const) {
      const values = [...training.optimizer.param(name)].map((value) => value / sigma);
      const share = (limit: number) => values.filter((value) => Math.abs(value) < limit).length / values.length;
      const variance = values.reduce((sum, value) => sum + value ** 2, 0) / values.length;
      expect(Math.abs(values.reduce((sum, value) => sum + value, 0) / values.length), name).toBeLessThan(0.06);
      expect(Math.abs(variance - 1), name).toBeLessThan(0.06);
      expect(Math.abs(share(1) - 0.6827), name).toBeLessThan(0.02);
      expect(Math.abs(share(2) - 0.9545), name).toBeLessThan(0.02);
    }
  });
});

describe("what is learnt from", () => {
  it.each(Object.keys(TASKS) as TaskName[])(
    "%s: no example is trained on and held out, whatever is chosen by is not what is reported",
    (name) => {
      const task = TASKS[name]();
      const size = task.data.labels.length;
      for (const seed of [1, 2, 101]) {
        const { train, validation, test } = task.split(seed);
        const all = name === "addition" ? [...train, ...test] : [...train, ...validation, ...test];
        expect(new Set(all).size).toBe(all.length);
        expect(Math.max(...all)).toBeLessThan(size);
        expect(task.split(seed)).toEqual({ train, validation, test });
        expect(task.split(seed + 1).train).not.toEqual(train);
        if (name !== "addition") expect(task.split(seed + 1).test).toEqual(test);
      }
    },
  );

  it("addition: all 529 pairs once, 370 of them to train on, the label their sum modulo 23", () => {
    const { data, split } = addition();
    expect(data.starts).toEqual(Uint32Array.from({ length: 530 }, (_, i) => 2 * i));
    const pairs = Array.from({ length: 529 }, (_, i) => [data.columns[2 * i]!, data.columns[2 * i + 1]! - 23] as const);
    expect(new Set(pairs.map(String)).size).toBe(529);
    pairs.forEach(([a, b], i) => void expect(data.labels[i]).toBe((a + b) % 23));
    expect([split(1).train.length, split(1).test.length]).toEqual([370, 159]);
  });

  it("spam: every body once, nearly a third spam, counts of words or that they are there, and an input that is always 1", () => {
    const [counts, present] = [TASKS["spam, counts"]().data, TASKS["spam, words present"]().data];
    const spam = counts.labels.reduce((sum, label) => sum + label, 0);
    expect([counts.labels.length, spam]).toEqual([5875, 1763]);
    expect(present.columns).toEqual(counts.columns);
    expect(present.values.every((value) => value === 1)).toBe(true);
    expect(counts.values.every((value) => Number.isInteger(value) && value >= 1)).toBe(true);
    expect(counts.values.reduce((most, value) => Math.max(most, value), 0)).toBeGreaterThan(100);
    const last = Array.from(counts.starts.subarray(1), (end) => [counts.columns[end - 1], counts.values[end - 1]]);
    expect(last.every(([column, value]) => column === 1000 && value === 1)).toBe(true);
  });
});

describe("the journal", () => {
  const job = (seed: number): Job => ({
    ...{ task: "addition", rule: "AdamW", lr: 0.1, weightDecay: 1e-7, seed, steps: 10, heldOut: "test" },
  });
  const outcome = (loss: number) => ({ train: { loss, accuracy: 1 / 3 }, heldOut: { loss: 2 * loss, accuracy: 0 } });

  it("has what was added when it is opened again, and what is under way no longer when it is added", () => {
    const folder = join(temporaryFolder(), "unfinished");
    const journal = new Journal(folder, "program");
    for (const seed of [1, 2]) writeFileSync(checkpointOf(folder, job(seed)), "");
    journal.add(job(1), outcome(0.1));
    const again = new Journal(folder, "program");
    expect([again.done, again.underWay]).toEqual([1, 1]);
    expect(again.outcome(job(1))).toEqual(outcome(0.1));
    expect(again.outcome(job(2))).toBeUndefined();
    for (const other of [{ steps: 11 }, { lr: 0.2 }, { weightDecay: 1e-8 }, { rule: "Adam + L2" as const }]) {
      expect(again.outcome({ ...job(1), ...other })).toBeUndefined();
    }
    again.remove();
    expect(existsSync(folder)).toBe(false);
  });

  it("a line that was being written when the process was killed is none, wherever it ends", () => {
    const folder = temporaryFolder();
    new Journal(folder, "program").add(job(1), outcome(0.1));
    const file = join(folder, "program.jsonl");
    const line = readFileSync(file, "utf8");
    for (const end of [1, line.length - 2, line.length - 1]) {
      writeFileSync(file, line + line.replace('"seed":1', '"seed":2').slice(0, end));
      const journal = new Journal(folder, "program");
      expect([journal.done, journal.outcome(job(2))]).toEqual([1, undefined]);
      journal.add(job(3), outcome(0.3));
      expect(new Journal(folder, "program").outcome(job(3))).toEqual(outcome(0.3));
    }
  });

  it("of another program everything is thrown away, checkpoints too", () => {
    const folder = temporaryFolder();
    new Journal(folder, "program").add(job(1), outcome(0.1));
    writeFileSync(checkpointOf(folder, job(2)), "");
    const journal = new Journal(folder, "other");
    expect([journal.done, journal.underWay]).toEqual([0, 0]);
    expect(readdirSync(folder)).toEqual(["other.jsonl"]);
  });
});

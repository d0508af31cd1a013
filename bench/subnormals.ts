import { ADDRESS_COUNT, CONSTANT_COUNT, callUpdate, writeUpdate } from "../src/generated/call.js";
import { FLUSH_EVERY, rowOf } from "../src/kernels/table.js";
import { compileSync, kernelsOver } from "../src/kernels/wasm.js";
import { NONE } from "../src/memory/regions.js";
import { stepConstants } from "../src/optimizer/stepConstants.js";
import { HYPER } from "./data.js";
import { type Effort, sizeName, sizesFrom } from "./effort.js";
import { alternate, type Contender, median, ratio } from "./measure.js";
import { addressesOf, createModel, type Model } from "./model.js";
import type { Report } from "./report.js";

const OPTIONS = { ...HYPER, amsgrad: false, maximize: false, biasCorrection: true };

interface Parts {
  /** `FLUSH_EVERY` steps as the optimizer takes them, less the flush. */
  readonly steps: () => void;
  readonly flush: () => void;
}

function partsOf(model: Model): Parts {
  const kernels = kernelsOver(model.optimizer.memory, compileSync("simd", false, false), false);
  const update = kernels.update[rowOf("decoupled", false, "plain")]!;
  const { length } = model.views.param;
  const addresses = { ...addressesOf(model), maxExpAvgSq: NONE };
  const words = new Uint32Array(ADDRESS_COUNT + CONSTANT_COUNT);
  const floats = new Float32Array(words.buffer);
  const constants = new Float32Array(CONSTANT_COUNT);
  let step = 0;
  return {
    steps() {
      for (let i = 0; i < FLUSH_EVERY; i++) {
        stepConstants(constants, OPTIONS, false, HYPER.lr, HYPER.weightDecay, ++step, 1);
        writeUpdate(words, 0, addresses, floats, ADDRESS_COUNT, constants);
        callUpdate(update, words, 0, 0, length, floats, ADDRESS_COUNT);
      }
    },
    flush() {
      kernels.flush[0]!(addresses.expAvg, length);
      kernels.flush[0]!(addresses.expAvgSq, length);
    },
  };
}

const KI = 1 << 10;
const MI = 1 << 20;

/**
 * What the flush costs a model without any subnormal: at most 3 %. This is the time of the flush alone divided by that of the
 * steps between two of them: the times with and without it differ by less than either of them varies.
 */
export async function denseCost(report: Report, effort: Effort): Promise<void> {
  for (const length of sizesFrom(effort, [4 * KI, 64 * KI, MI, 16 * MI])) {
    const { steps, flush } = partsOf(createModel(length));
    const withFlush = () => {
      steps();
      flush();
    };
    const contenders: Contender[] = [
      { name: "with", step: withFlush },
      { name: "without", step: steps },
      { name: "flush alone", step: flush },
    ];
    const plan = effort.plan(length);
    report.status(`flush of subnormals, dense, ${sizeName(length)}`);
    const samples = await alternate(contenders, length > MI ? { ...plan, rounds: 5 } : plan);
    report.timings("flush of subnormals, dense", length, samples, "without", { steps: FLUSH_EVERY });
    const cost = ratio(samples, "flush alone", "without").median;
    const percent = `${(100 * cost).toFixed(1)} %`;
    report.goal(`${sizeName(length)}: the flush costs a dense step at most 3 %`, cost <= 0.03, percent);
  }
}

/**
 * 2,000 steps with zero gradients on all but 1 % of a model: the last takes at most 1.1x the first. A second, dense model steps in
 * turn with it, and times are divided by the second model's: within seconds the speed of the machine itself varies by more.
 */
export async function sparseDecay(report: Report, effort: Effort): Promise<void> {
  const length = Math.min(MI, effort.sizes.at(-1)!);
  const rounds = Math.ceil(2000 / FLUSH_EVERY);
  for (const flushed of [true, false]) {
    const section = `2,000 steps, zero gradients on 99 %, ${flushed ? "with" : "without"} flush`;
    report.status(section);
    const [sparse, dense] = [createModel(length), createModel(length)];
    const runs = [sparse, dense].map((model) => {
      const { steps, flush } = partsOf(model);
      return () => {
        const start = performance.now();
        steps();
        if (flushed) flush();
        return ((performance.now() - start) * 1e6) / FLUSH_EVERY / length;
      };
    }) as [() => number, () => number];
    for (let i = 0; i < 4; i++) for (const run of runs) run();
    for (let i = 0; i < length; i++) if (i % 100 !== 0) sparse.views.grad[i] = 0;

    const times = Array.from({ length: rounds }, () => ({ sparse: runs[0](), dense: runs[1]() }));
    const multiples = times.map((time) => time.sparse / time.dense);
    const growth = median(multiples.slice(-9)) / median(multiples.slice(0, 9));
    report.row(section, length, {
      "first, ns/param": median(times.slice(0, 9).map((time) => time.sparse)),
      "slowest, ns/param": Math.max(...times.map((time) => time.sparse)),
      "last, ns/param": median(times.slice(-9).map((time) => time.sparse)),
      "last ÷ first, as multiples of a dense step": growth.toFixed(2),
    });
    if (flushed) report.goal("after 2,000 steps at most 1.1x the first", growth <= 1.1, growth.toFixed(2));
  }
}

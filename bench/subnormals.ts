import { FLUSH_EVERY, rowOf } from "../src/kernels.js";
import { CONSTANTS, stepConstants } from "../src/stepConstants.js";
import { compileSync, kernelsOver } from "../src/wasm.js";
import { alternate, type Contender, formatRatio, median, ratio } from "./measure.js";
import { createModel, HYPER, type Model } from "./model.js";
import type { Report } from "./report.js";

const OPTIONS = { ...HYPER, amsgrad: false, maximize: false, biasCorrection: true };

interface Parts {
  /** `FLUSH_EVERY` steps as the optimizer takes them, less the flush. */
  readonly steps: () => void;
  readonly flush: () => void;
}

function partsOf({ optimizer, views }: Model): Parts {
  const kernels = kernelsOver(optimizer.memory, compileSync("simd", false));
  const update = kernels.update[rowOf("adamw", false, "")]!;
  const { length } = views.param;
  const [param, grad] = [views.param.byteOffset, views.grad.byteOffset];
  const [expAvg, expAvgSq] = [views.expAvg.byteOffset, views.expAvgSq.byteOffset];
  const c = new Float32Array(CONSTANTS);
  let step = 0;
  return {
    steps() {
      for (let i = 0; i < FLUSH_EVERY; i++) {
        stepConstants(c, OPTIONS, false, HYPER.lr, ++step, 1);
        // biome-ignore format: addresses, then constants
        update(
          param, grad, expAvg, expAvgSq, -1, length,
          c[0]!, c[1]!, c[2]!, c[3]!, c[4]!, c[5]!, c[6]!, c[7]!, c[8]!,
        );
      }
    },
    flush() {
      kernels.flush(expAvg, length);
      kernels.flush(expAvgSq, length);
    },
  };
}

/**
 * What the flush costs a model without a single subnormal: at most 3 %. Judged by the flush alone against the steps between
 * two of them: that is a quotient of two times, where with and without differ by less than either varies.
 */
export function denseCost(report: Report): void {
  for (const length of [4096, 65_536, 1 << 20, 1 << 24]) {
    const { steps, flush } = partsOf(createModel(length));
    const contenders: Contender[] = [
      {
        name: "with",
        step: () => {
          steps();
          flush();
        },
      },
      { name: "without", step: steps },
      { name: "flush", step: flush },
    ];
    const calls = Math.max(1, Math.round(4e5 / length));
    const samples = alternate(contenders, { rounds: length > 1 << 22 ? 7 : 25, calls });
    const cost = ratio(samples, "flush", "without");
    report.row("flush, dense", length, {
      "with, ns/param": median(samples.get("with")!) / FLUSH_EVERY / length,
      "without, ns/param": median(samples.get("without")!) / FLUSH_EVERY / length,
      "with / without": formatRatio(samples, "with", "without"),
      "flush / the steps between": percent(cost.median),
    });
    report.goal(`flush costs a dense step of ${length} at most 3 %`, cost.median <= 0.03, percent(cost.median));
  }
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

/**
 * 2,000 steps with zero gradients on all but 1 % of a model: the last is at most 1.1x the first. A dense twin steps in turn with
 * it, and times are taken as multiples of the twin's: seconds apart, this kind of machine differs from itself by more.
 */
export function sparseDecay(report: Report): void {
  const length = 1 << 20;
  const rounds = Math.ceil(2000 / FLUSH_EVERY);
  for (const flushed of [true, false]) {
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
    report.row(`2,000 steps, zero gradients on 99 %, ${flushed ? "with" : "without"} flush`, length, {
      "first, ns/param": median(times.slice(0, 9).map((time) => time.sparse)),
      "slowest, ns/param": Math.max(...times.map((time) => time.sparse)),
      "last, ns/param": median(times.slice(-9).map((time) => time.sparse)),
      "last / first, as multiples of a dense step": growth.toFixed(2),
    });
    if (flushed) report.goal("after 2,000 steps at most 1.1x the first", growth <= 1.1, growth.toFixed(2));
  }
}

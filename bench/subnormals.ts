import { FLUSH_EVERY, rowOf } from "../src/kernels.js";
import { stepConstants } from "../src/stepConstants.js";
import { compileSync, kernelsOver } from "../src/wasm.js";
import { alternate, type Contender, formatRatio, median, ratio } from "./measure.js";
import { createModel, HYPER, type Model } from "./model.js";
import type { Report } from "./report.js";

const OPTIONS = { ...HYPER, amsgrad: false, maximize: false, biasCorrection: true };

/** The kernels as the optimizer calls them, `FLUSH_EVERY` steps at a time, with the flush and without. */
function stepsWith({ optimizer, views }: Model, flush: boolean): () => void {
  const kernels = kernelsOver(optimizer.memory, compileSync("simd", false), "simd");
  const update = kernels.update[rowOf("adamw", false, "")]!;
  const [param, grad, expAvg, expAvgSq] = [views.param, views.grad, views.expAvg, views.expAvgSq].map(
    (v) => v.byteOffset,
  );
  const c = new Float32Array(9);
  let step = 0;
  return () => {
    for (let i = 0; i < FLUSH_EVERY; i++) {
      stepConstants(c, OPTIONS, false, HYPER.lr, ++step, 1);
      const [b1, c1, b2, c2, size, rsqrt, eps, decay, factor] = Array.from(c) as [
        number,
        number,
        number,
        number,
        number,
        number,
        number,
        number,
        number,
      ];
      update(
        param!,
        grad!,
        expAvg!,
        expAvgSq!,
        -1,
        views.param.length,
        b1,
        c1,
        b2,
        c2,
        size,
        rsqrt,
        eps,
        decay,
        factor,
      );
    }
    if (!flush) return;
    kernels.flush(expAvg!, views.param.length);
    kernels.flush(expAvgSq!, views.param.length);
  };
}

/** What the flush costs a model without a single subnormal: at most 3 %. */
export function denseCost(report: Report): void {
  for (const length of [4096, 65_536, 1 << 20, 1 << 24]) {
    const model = createModel(length);
    const contenders: Contender[] = [
      { name: "with", step: stepsWith(model, true) },
      { name: "without", step: stepsWith(model, false) },
    ];
    const calls = Math.max(1, Math.round(4e5 / length));
    const samples = alternate(contenders, { rounds: length > 1 << 22 ? 9 : 25, calls });
    const cost = ratio(samples, "with", "without").median - 1;
    report.row("flush, dense", length, {
      "with, ns/param": median(samples.get("with")!) / FLUSH_EVERY / length,
      "without, ns/param": median(samples.get("without")!) / FLUSH_EVERY / length,
      "with / without": formatRatio(samples, "with", "without"),
    });
    report.goal(`flush costs a dense step of ${length} at most 3 %`, cost <= 0.03, `${(100 * cost).toFixed(1)} %`);
  }
}

/** 2,000 steps with zero gradients on all but 1 % of a model: the last is at most 1.1x the first. */
export function sparseDecay(report: Report): void {
  const length = 1 << 20;
  const steps = 2000;
  const times = (flush: boolean) => {
    const model = createModel(length);
    const run = stepsWith(model, flush);
    run();
    for (let i = 0; i < length; i++) if (i % 100 !== 0) model.views.grad[i] = 0;
    return Array.from({ length: steps / FLUSH_EVERY }, () => {
      const start = performance.now();
      run();
      return (performance.now() - start) * 1e6;
    });
  };
  for (const flush of [true, false]) {
    const all = times(flush).map((time) => time / FLUSH_EVERY / length);
    const first = median(all.slice(0, 5));
    const last = median(all.slice(-5));
    report.row(`2,000 steps, zero gradients on 99 %, ${flush ? "with" : "without"} flush`, length, {
      "first, ns/param": first,
      "slowest, ns/param": Math.max(...all),
      "last, ns/param": last,
      "last / first": (last / first).toFixed(2),
    });
    if (flush) report.goal("after 2,000 steps at most 1.1x the first", last / first <= 1.1, (last / first).toFixed(2));
  }
}

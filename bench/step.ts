import { AdamW } from "fused-adam";
import { type ReferenceState, referenceStep } from "../test/reference.js";
import { alternate, formatRatio, median, ratio, roundsFor, type Samples } from "./measure.js";
import { contenders, createModel, HYPER, type Model } from "./model.js";
import type { Report } from "./report.js";

/** Nothing is timed before its result is right: one step of each contender against the reference. */
function validate(length: number): void {
  const options = { mode: "adamw", ...HYPER, amsgrad: false, maximize: false, biasCorrection: true } as const;
  const stateOf = ({ views }: Model): ReferenceState => ({
    param: views.param.slice(),
    grad: views.grad.slice(),
    expAvg: views.expAvg.slice(),
    expAvgSq: views.expAvgSq.slice(),
    maxExpAvgSq: new Float32Array(length),
    step: 0,
  });
  for (const [name, bound] of [
    ["fused-adam", 0],
    ["js loop", 2 ** -23],
  ] as const) {
    const model = createModel(length);
    const expected = stateOf(model);
    referenceStep(expected, options);
    contenders(model)
      .find((contender) => contender.name === name)!
      .step();
    for (const region of ["param", "expAvg", "expAvgSq"] as const) {
      model.views[region].forEach((value, i) => {
        const wanted = expected[region][i]!;
        if (!(Math.abs(value - wanted) <= bound * Math.abs(wanted) * 4)) {
          throw new Error(`"${name}": expected ${region}[${i}] = ${wanted}, got ${value}`);
        }
      });
    }
  }
}

function rowOf(report: Report, bench: string, length: number, samples: Samples): void {
  const figures: Record<string, number | string> = {};
  for (const [name, values] of samples) figures[`${name}, ns/param`] = median(values) / length;
  for (const name of samples.keys()) {
    if (name !== "fused-adam") figures[`${name} / fused-adam`] = formatRatio(samples, name, "fused-adam");
  }
  report.row(bench, length, figures);
}

/** The step beside a plain loop and beside the limits of the machine. */
export function stepSpeed(report: Report): void {
  validate(4096);
  for (const length of [1024, 4096, 16_384, 65_536, 1 << 18, 1 << 20, 1 << 22, 1 << 24]) {
    const samples = alternate(contenders(createModel(length)), roundsFor(length));
    rowOf(report, "AdamW step, one thread", length, samples);
    const versus = (name: string) => ratio(samples, name, "fused-adam").median;
    if (length === 65_536) {
      report.goal("at 65,536 at least 6x the JavaScript loop", versus("js loop") >= 6, versus("js loop").toFixed(1));
    }
    if (length === 1 << 24) {
      const share = versus("load/store");
      report.goal("at 16 Mi at least 0.85 of loads and stores alone", share >= 0.85, share.toFixed(2));
    }
  }
}

/** Sixteen parameters: what a call costs, and whether it leaves anything behind. */
export function smallStep(report: Report): void {
  const { optimizer } = createModel(16);
  const step = () => {
    for (let i = 0; i < 1000; i++) optimizer.step();
  };
  const samples = alternate([{ name: "fused-adam", step }], { rounds: 25, calls: 20 });
  const each = median(samples.get("fused-adam")!) / 1000;
  const collect = globalThis.gc ?? (() => {});
  collect();
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < 1000; i++) step();
  collect();
  const grown = process.memoryUsage().heapUsed - before;
  report.row("16 parameters", 16, { "ns/step": each, "heap grown by 1,000,000 steps, bytes": grown });
  report.goal("16 parameters in under 1 µs", each < 1000, `${each.toFixed(0)} ns`);
  // The collector's own bookkeeping moves by some kilobytes; a single pointer kept per step would be 8 MB.
  report.goal("no allocation that stays", grown < 500_000, `${grown} bytes after 1,000,000 steps`);
}

/** A thousand tensors of 1,024 against one of the same total. */
export function manyTensors(report: Report): void {
  const [count, size] = [1000, 1024];
  const one = createModel(count * size);
  const many = AdamW.createSync(
    Object.fromEntries(
      Array.from({ length: count }, (_, i) => [`w${i}`, one.views.param.slice(i * size, (i + 1) * size)]),
    ),
    HYPER,
  );
  for (let i = 0; i < count; i++) many.grad(`w${i}`).set(one.views.grad.subarray(i * size, (i + 1) * size));
  const samples = alternate(
    [
      { name: "1,000 tensors", step: () => many.step() },
      { name: "one tensor", step: () => one.optimizer.step() },
    ],
    roundsFor(count * size),
  );
  const cost = ratio(samples, "1,000 tensors", "one tensor").median;
  report.row("1,000 tensors of 1,024", count * size, {
    "1,000 tensors / one": formatRatio(samples, "1,000 tensors", "one tensor"),
  });
  report.goal("1,000 tensors within 1.1x of one", cost <= 1.1, cost.toFixed(3));
}

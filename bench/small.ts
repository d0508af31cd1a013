import { AdamW } from "fused-adam";
import { HYPER } from "./data.js";
import type { Effort } from "./effort.js";
import { alternate, formatSpread, median, ratio } from "./measure.js";
import { createModel } from "./model.js";
import type { Report } from "./report.js";

/** Sixteen parameters: the time of a call, and whether it leaks memory. */
export async function smallStep(report: Report, effort: Effort): Promise<void> {
  const { optimizer } = createModel(16);
  const step = () => optimizer.step();
  const samples = await alternate([{ name: "fused-adam", step }], effort.plan(16));
  const each = median(samples.get("fused-adam")!);
  const collect = globalThis.gc ?? (() => {});
  collect();
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < 1e6; i++) step();
  collect();
  const grown = process.memoryUsage().heapUsed - before;
  report.row("a small step", 16, { "ns per step": each, "heap grown by 1,000,000 steps, bytes": grown });
  report.goal("16 parameters in under 1 µs", each < 1000, `${each.toFixed(0)} ns`);
  // The garbage collector's own data varies by some kilobytes; one pointer kept per step would be 8 MB.
  report.goal("no allocation that stays", grown < 500_000, `${grown} bytes after 1,000,000 steps`);
}

/** A thousand tensors of 1,024, beside one of the same total length. */
export async function manyTensors(report: Report, effort: Effort): Promise<void> {
  const [count, size] = [1000, 1024];
  const total = count * size;
  const one = createModel(total);
  const part = (values: Float32Array, i: number) => values.subarray(i * size, (i + 1) * size);
  const names = Array.from({ length: count }, (_, i) => `w${i}`);
  const many = AdamW.createSync(Object.fromEntries(names.map((name, i) => [name, part(one.views.param, i)])), {
    ...HYPER,
    kernel: "simd",
  });
  names.forEach((name, i) => {
    many.grad(name).set(part(one.views.grad, i));
  });
  const [tensors, whole] = ["1,000 tensors", "one tensor"];
  const contenders = [
    { name: tensors, step: () => many.step() },
    { name: whole, step: () => one.optimizer.step() },
  ];
  const samples = await alternate(contenders, effort.plan(total));
  report.timings("1,000 tensors of 1,024", total, samples, whole);
  const cost = ratio(samples, tensors, whole);
  report.goal("1,000 tensors within 1.1x of one", cost.median <= 1.1, formatSpread(cost));
}

import { type AdamOptions, AdamW } from "fused-adam";
import { encoded, rounded } from "../test/support/halves.js";
import { check, type RegionName } from "./check.js";
import { HYPER, repeat, type Start, startValues } from "./data.js";
import { type Effort, sizeName, sizesFrom } from "./effort.js";
import { alternate, formatSpread, ratio, type Samples } from "./measure.js";
import type { Report } from "./report.js";

export const HALF = "storage in 16 bits";

type Formats = Pick<AdamOptions, "moments" | "grads" | "copies">;

const [FLOAT32, MOMENTS, BOTH, FLOAT16, COPIES] = [
  "float32",
  "bfloat16 moments",
  "bfloat16 moments and gradients",
  "bfloat16 moments, float16 gradients",
  "bfloat16 moments and gradients, float16 copies",
];
const WAYS: Readonly<Record<string, Formats>> = {
  [FLOAT32]: {},
  [MOMENTS]: { moments: "bfloat16" },
  [BOTH]: { moments: "bfloat16", grads: "bfloat16" },
  [FLOAT16]: { moments: "bfloat16", grads: "float16" },
  [COPIES]: { moments: "bfloat16", grads: "bfloat16", copies: "float16" },
};

/** Bytes a step moves at least: parameter and moments read and written, gradient read, copy written. */
function traffic(name: string): number {
  const { moments = "float32", grads = "float32", copies } = WAYS[name]!;
  return 8 + (moments === "float32" ? 16 : 8) + (grads === "float32" ? 4 : 2) + (copies === undefined ? 0 : 2);
}

const MI = 1 << 20;

/** Moments, gradients and copies of 16 bits beside float32, with one thread and with two. */
export async function halfWidth(report: Report, effort: Effort): Promise<void> {
  for (const threads of [1, 2]) {
    const section = `${HALF}, ${threads === 1 ? "1 thread" : `${threads} threads`}`;
    for (const length of sizesFrom(effort, [64 << 10, MI, 16 * MI])) {
      report.status(`${section}, ${sizeName(length)}:`);
      const optimizers: AdamW[] = [];
      const contenders = [];
      for (const [name, formats] of Object.entries(WAYS)) {
        const optimizer = AdamW.createSync(
          { w: { shape: [length] } },
          { ...HYPER, ...formats, kernel: "simd", threads },
        );
        optimizers.push(optimizer);
        await verify(name, optimizer, formats, length);
        contenders.push({ name, step: () => optimizer.step() });
      }
      const samples = await alternate(contenders, effort.plan(length));
      for (const optimizer of optimizers) optimizer.dispose();
      globalThis.gc?.();
      report.timings(section, length, samples, FLOAT32!, { traffic });
      judge(report, length, threads, samples);
    }
  }
}

function judge(report: Report, length: number, threads: number, samples: Samples): void {
  const atMost = (bound: number, name: string, base: string) => {
    const saw = ratio(samples, name, base);
    const goal = `${sizeName(length)}, threads: ${threads}: ${name} ÷ ${base} at most ${bound}`;
    report.goal(goal, saw.median <= bound, formatSpread(saw));
  };
  if (length <= 64 << 10) atMost(1.5, MOMENTS!, FLOAT32!);
  if (length === 16 * MI) atMost(threads === 1 ? 1.2 : 1, MOMENTS!, FLOAT32!);
  if (length === 16 * MI && threads === 2) atMost(0.95, BOTH!, FLOAT32!);
  atMost(1.15, FLOAT16!, BOTH!);
  atMost(1.15, COPIES!, BOTH!);
}

/** Fills it, and compares two steps and the copies with the reference. */
async function verify(
  name: string,
  optimizer: AdamW,
  { moments = "float32", grads = "float32", copies }: Formats,
  length: number,
): Promise<void> {
  const start = startValues(length);
  repeat(optimizer.param("w"), start.param);
  if (grads === "float32") repeat(optimizer.grad("w"), start.grad);
  else repeat(optimizer.gradBits("w"), encoded(grads, start.grad));
  // Workers start while this thread is idle.
  for (let i = 0; i < 2; i++) await optimizer.stepAsync();

  const { exp_avg, exp_avg_sq } = optimizer.stateDict().state.w!;
  const stored = { param: optimizer.param("w"), expAvg: exp_avg, expAvgSq: exp_avg_sq };
  const from: Start = grads === "float32" ? start : { ...start, grad: rounded(grads, start.grad) };
  await check(name, length, (region: RegionName) => [stored[region]], {
    steps: 2,
    tolerance: 0,
    options: { moments },
    start: from,
  });
  if (copies === undefined) return;
  const expected = encoded(copies, stored.param.subarray(0, start.param.length));
  const wrong = optimizer.copyBits("w").findIndex((bits, i) => bits !== expected[i % expected.length]);
  if (wrong >= 0) {
    const wanted = expected[wrong % expected.length];
    throw new Error(`"${name}": expected copy[${wrong}] = ${wanted}, got ${optimizer.copyBits("w")[wrong]}`);
  }
}

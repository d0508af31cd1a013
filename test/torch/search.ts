/** Our side of search.py: reads cases from standard input, writes parameters and moments after the steps it asks for. */
import { readFileSync } from "node:fs";
import { Adam, AdamW } from "fused-adam";
import type { GoldenCase } from "./goldens.js";
import { gradient, initialParam } from "./gradients.js";

interface Search {
  readonly cases: readonly Omit<GoldenCase, "float32" | "float64">[];
  readonly steps: readonly number[];
}

function write({ buffer, byteOffset, byteLength }: Float32Array): Promise<unknown> {
  const bytes = new Uint8Array(buffer, byteOffset, byteLength);
  return new Promise((resolve) => process.stdout.write(bytes, resolve));
}

const { cases, steps }: Search = JSON.parse(readFileSync(0, "utf8"));
for (const { mode, gradients, groups } of cases) {
  const [{ options, params }] = groups as [GoldenCase["groups"][number]];
  const [{ name, length, seed }] = params as [(typeof params)[number]];
  const Optimizer = mode === "adam" ? Adam : AdamW;
  const optimizer = Optimizer.createSync({ [name]: initialParam(new Float32Array(length), seed) }, options);
  for (let step = 1; step <= Math.max(...steps); step++) {
    gradient(optimizer.grad(name), seed, step, gradients);
    optimizer.step();
    if (!steps.includes(step)) continue;
    await write(optimizer.param(name));
    const { exp_avg, exp_avg_sq, max_exp_avg_sq } = optimizer.stateDict().state[name]!;
    for (const moment of [exp_avg, exp_avg_sq, max_exp_avg_sq]) if (moment !== undefined) await write(moment);
  }
  optimizer.dispose();
}

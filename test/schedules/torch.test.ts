/** Against the real `torch.optim.lr_scheduler` (Debian's python3-torch): the table in docs/migrating.md, row by row, and more. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Schedule } from "fused-adam/schedules";
import * as schedules from "fused-adam/schedules";
import { describe, expect, it } from "vitest";
import { unless } from "../support/host.js";
import { noTorch, python } from "../support/python.js";
import { root } from "../support/root.js";

/** PyTorch's expression, ours, and what ours is called with at step t. */
type Row = readonly [torch: string, ours: string, argument?: string];

function pageRows(): Row[] {
  const page = readFileSync(join(root, "docs/migrating.md"), "utf8");
  const rows = page.matchAll(/^\| `(\w+\(optimizer, .*)` \| `(.*)` \| (t.*) \|$/gm);
  return Array.from(rows, ([, torch, ours, argument]) => [torch!, ours!, argument!] as const);
}

/** Other options, and where phases are empty, end between steps or come in another order. */
const MORE: Row[] = [
  ["StepLR(optimizer, 7)", "stepDecay({ lr, stepSize: 7 })"],
  ["StepLR(optimizer, 1, gamma=1.01)", "stepDecay({ lr, stepSize: 1, gamma: 1.01 })"],
  ["MultiStepLR(optimizer, [0, 5, 80, 80], 0.3)", "multiStepDecay({ lr, milestones: [80, 5, 0, 80], gamma: 0.3 })"],
  ["ExponentialLR(optimizer, 1.01)", "exponential({ lr, gamma: 1.01 })"],
  ["ExponentialLR(optimizer, 0)", "exponential({ lr, gamma: 0 })"],
  ["PolynomialLR(optimizer, 100)", "polynomial({ lr, steps: 100 })"],
  ["PolynomialLR(optimizer, 100, 2)", "polynomial({ lr, steps: 100, power: 2 })"],
  ["PolynomialLR(optimizer, 300, 3.37)", "polynomial({ lr, steps: 300, power: 3.37 })"],
  ["PolynomialLR(optimizer, 1, 0.5)", "polynomial({ lr, steps: 1, power: 0.5 })"],
  ["CosineAnnealingWarmRestarts(optimizer, 37)", "cosineWarmRestarts({ lr, steps: 37 })"],
  [
    "CosineAnnealingWarmRestarts(optimizer, 1, 3, 1e-3)",
    "cosineWarmRestarts({ lr, steps: 1, multiplier: 3, min: 1e-3 })",
  ],
  ["OneCycleLR(optimizer, lr, 1)", "oneCycle({ lr, steps: 1 })"],
  ["OneCycleLR(optimizer, lr, 5, anneal_strategy='linear')", "oneCycle({ lr, steps: 5, annealStrategy: 'linear' })"],
  ["OneCycleLR(optimizer, lr, 377, three_phase=True)", "oneCycle({ lr, steps: 377, threePhase: true })"],
  [
    "OneCycleLR(optimizer, lr, 377, pct_start=0.17, div_factor=7, final_div_factor=33)",
    "oneCycle({ lr, steps: 377, pctStart: 0.17, divFactor: 7, finalDivFactor: 33 })",
  ],
  [
    "OneCycleLR(optimizer, lr, 377, three_phase=True, anneal_strategy='linear')",
    "oneCycle({ lr, steps: 377, threePhase: true, annealStrategy: 'linear' })",
  ],
  ["OneCycleLR(optimizer, lr, 9, pct_start=0.0)", "oneCycle({ lr, steps: 9, pctStart: 0 })"],
  ["OneCycleLR(optimizer, lr, 9, pct_start=1.0)", "oneCycle({ lr, steps: 9, pctStart: 1 })"],
  [
    "OneCycleLR(optimizer, lr, 9, pct_start=0.05, three_phase=True)",
    "oneCycle({ lr, steps: 9, pctStart: 0.05, threePhase: true })",
  ],
  [
    "OneCycleLR(optimizer, lr, 9, pct_start=0.9, three_phase=True)",
    "oneCycle({ lr, steps: 9, pctStart: 0.9, threePhase: true })",
  ],
  [
    "CyclicLR(optimizer, 1e-3, lr, 20, 33, mode='triangular2', cycle_momentum=False)",
    "cyclic({ lr, min: 1e-3, up: 20, down: 33, mode: 'triangular2' })",
  ],
  [
    "CyclicLR(optimizer, 1e-3, lr, 17, 5, mode='exp_range', gamma=0.99, cycle_momentum=False)",
    "cyclic({ lr, min: 1e-3, up: 17, down: 5, mode: 'expRange', gamma: 0.99 })",
  ],
  [
    "SequentialLR(optimizer, [ConstantLR(optimizer, 0.1, 400), ExponentialLR(optimizer, 0.9)], [50])",
    "chain([[constant(0.1 * lr), 50], [exponential({ lr, gamma: 0.9 })]])",
  ],
];

const LR = 0.1;
const STEPS = 400;

const SCRIPT = `
import json, sys, torch
from torch.optim.lr_scheduler import *
lr = ${LR}
def rates(scheduler):
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = eval(scheduler)
    for _ in range(min(${STEPS}, getattr(scheduler, "total_steps", ${STEPS})) - 1):
        yield optimizer.param_groups[0]["lr"]
        optimizer.step()
        scheduler.step()
    yield optimizer.param_groups[0]["lr"]
print(json.dumps([list(rates(scheduler)) for scheduler in json.load(sys.stdin)]))
`;

function ours([, code, argument = "t"]: Row): Schedule {
  const names = Object.keys(schedules);
  const schedule: Schedule = new Function(...names, "lr", `return ${code}`)(...Object.values(schedules), LR);
  return argument === "t" ? schedule : (step) => schedule(step - 1);
}

const reason = noTorch();
const PAGE = reason ? [] : pageRows();

describe(`${STEPS} steps: every rate is within 1e-12 of PyTorch's, relative`, unless(reason), () => {
  const rows = [...PAGE, ...MORE];
  const input = JSON.stringify(rows.map(([torch]) => torch));
  const theirs: number[][] = reason ? [] : JSON.parse(python(SCRIPT, { input }));

  it.each(rows.map((row, i) => [row[0], row, theirs[i]!] as const))("%s", (_, row, rates) => {
    const schedule = ours(row);
    rates.forEach((rate, i) => {
      expect(Math.abs(schedule(i + 1) - rate), `step ${i + 1}`).toBeLessThanOrEqual(1e-12 * rate);
    });
  });

  it("the page has a row for each of PyTorch's that is a function of the step", () => {
    expect(PAGE.map(([torch]) => /^\w+/.exec(torch)![0])).toEqual([
      ...["LambdaLR", "StepLR", "MultiStepLR", "ConstantLR", "LinearLR", "ExponentialLR", "PolynomialLR"],
      ...["CosineAnnealingLR", "CosineAnnealingWarmRestarts", "OneCycleLR", "CyclicLR"],
    ]);
    for (const [, , argument] of PAGE) expect(argument).toMatch(/^t( − 1)?$/);
  });
});

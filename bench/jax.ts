import {
  adamw,
  applyUpdates,
  arrayOf,
  type JaxArray,
  opsState,
  opsStepper,
  tree,
  valuesOf,
} from "../test/support/jax.js";
import { HYPER } from "./data.js";
import { alternate, formatRatio, median } from "./measure.js";
import type { Report } from "./report.js";

const { lr, weightDecay } = HYPER;

function ramp(count: number, size: number, scale: number): JaxArray[] {
  return Array.from({ length: count }, (_, j) =>
    arrayOf(Float32Array.from({ length: size }, (_, i) => scale * Math.sin(7 * i + j))),
  );
}

/** jax-js computes when values are read. This reads the first value of each array, which takes no kernel of its own. */
function finish(arrays: JaxArray[]): void {
  for (const array of arrays) array.ref.slice([0, 1]).dataSync();
}

/** The optimizer's part of a training step in a jax-js program; the gradients are given. */
function contendersFor(count: number, size: number): { name: string; step(): void; params(): JaxArray[] }[] {
  const grads = ramp(count, size, 0.01);
  const start = () => ramp(count, size, 1);
  const jitted = opsStepper<JaxArray[]>({ lr, weightDecay }, Array(count).fill(true));
  const fused = adamw({ lr, weightDecay });

  const stepped = { params: start(), state: fused.init(start()) };
  const updated = { params: start(), state: fused.init(start()) };
  const ops = { params: start(), state: opsState(start()) };
  return [
    {
      name: "fused-adam step",
      params: () => stepped.params,
      step() {
        [stepped.params, stepped.state] = fused.step(tree.ref(grads), stepped.state, stepped.params);
      },
    },
    {
      name: "fused-adam update, added",
      params: () => updated.params,
      step() {
        let updates: JaxArray[];
        [updates, updated.state] = fused.update(tree.ref(grads), updated.state, tree.ref(updated.params));
        updated.params = applyUpdates(updated.params, updates);
        finish(updated.params);
      },
    },
    {
      name: "jax-js, jitted",
      params: () => ops.params,
      step() {
        [ops.params, ops.state] = jitted(tree.ref(grads), ops.state, ops.params);
        // Reading one output computes all of them.
        finish([ops.params[0]!]);
      },
    },
  ];
}

/** AdamW in jax-js on its wasm backend, one thread: `fused-adam/jax`, copies included, beside jax-js's own operations. */
export async function insideJax(report: Report): Promise<void> {
  for (const [count, size] of [
    [1, 4096],
    [200, 256],
    [1, 65_536],
    [1, 1 << 20],
  ] as const) {
    const contenders = contendersFor(count, size);
    for (let t = 0; t < 3; t++) for (const { step } of contenders) step();
    const [ours, ...others] = contenders.map(({ params }) => params().map(valuesOf));
    for (const theirs of others) {
      ours!.forEach((values, j) => {
        values.forEach((p, i) => {
          if (Math.abs(p - theirs[j]![i]!) > 1e-6) throw new Error(`expected ${p}, got ${theirs[j]![i]} at ${j}, ${i}`);
        });
      });
    }
    const samples = await alternate(contenders, { rounds: 15, milliseconds: 10, warmUp: 20 });
    const figures: Record<string, number | string> = {};
    for (const [name, values] of samples) figures[`${name}, µs`] = median(values) / 1000;
    for (const { name } of contenders.slice(1))
      figures[`${name} / step`] = formatRatio(samples, name, contenders[0]!.name);
    report.row(`AdamW in jax-js, ${count} x ${size.toLocaleString("en")}`, count * size, figures);
  }
}

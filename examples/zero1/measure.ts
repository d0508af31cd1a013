/**
 * What a step is made of, and what a rank holds: `mpiexec -n RANKS node out/measure.mjs PARAMETERS STEPS DIRECTORY`. Prints a line of JSON:
 * milliseconds of the slowest rank, medians, and bytes.
 */
import { join } from "node:path";
import { AdamW } from "fused-adam";
import { completeShards, loadShardFiles, saveShards } from "fused-adam/node";
import { allGather, barrier, finalize, rank, ranks, reduceScatter, rowsOf, sumInOrder } from "./mpi.js";

const COLUMNS = 1000;
const [parameters, steps, directory] = process.argv.slice(2) as [string, string, string];
const rows = Number(parameters) / COLUMNS;

const values = new Float32Array(rows * COLUMNS).fill(0.5);
const grads = Float32Array.from(values, (_, i) => (((i * 7) % 17) - 8) / 100);
const optimizer = AdamW.createSync({ w: { shape: [rows, COLUMNS], rows: rowsOf(rows) } });
optimizer.param("w").fill(0.5);

/** Of each step the milliseconds of the slowest rank. */
const times: Record<string, number[]> = {};
async function time(what: string, run: () => unknown): Promise<void> {
  barrier();
  const start = performance.now();
  await run();
  const own = new Float32Array(ranks);
  allGather(Float32Array.of(performance.now() - start), own, ranks);
  times[what] = [...(times[what] ?? []), Math.max(...own)];
}
for (let step = 0; step < Number(steps); step++) {
  await time("reduceScatter", () => reduceScatter(grads, optimizer.grad("w"), rows));
  await time("step", () => {
    const gradNorm = Math.sqrt(sumInOrder(optimizer.sumOfSquares()));
    optimizer.step({ clipNorm: 1, gradNorm });
  });
  await time("allGather", () => allGather(optimizer.param("w"), values, rows));
}
for (let save = 0; save < 3; save++) {
  const path = join(directory, `save-${ranks}-${save}`);
  await time("save", () => saveShards(path, optimizer, { rank, ranks, run: "measured" }));
  await time("complete", () => (rank === 0 ? completeShards(path) : undefined));
  await time("load", () => loadShardFiles(path, optimizer));
}
if (rank === 0) {
  const median = (numbers: number[]) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1]!;
  const milliseconds = Object.fromEntries(Object.entries(times).map(([what, all]) => [what, median(all)]));
  const bytes = { model: values.byteLength + grads.byteLength, optimizer: optimizer.memory.buffer.byteLength };
  console.log(JSON.stringify({ ranks, ...milliseconds, ...bytes }));
}
finalize();

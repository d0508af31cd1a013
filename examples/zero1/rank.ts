/**
 * One rank: `mpiexec -n RANKS node out/rank.mjs KIND DIRECTORY FROM TO`. Trains from one epoch to another, and saves after
 * each; from an epoch other than 0 it resumes from what any number of ranks has saved.
 */
import { join } from "node:path";
import { AdamW } from "fused-adam";
import { completeShards, loadShardFiles, saveShards } from "fused-adam/node";
import { evaluate, SHAPES } from "../shared/model.js";
import {
  addGradient,
  epochOf,
  gradScaleOf,
  type Kind,
  loadData,
  NAMES,
  OPTIONS,
  PARTS,
  startValues,
  zeros,
} from "./batches.js";
import { allGather, barrier, finalize, rank, ranks, reduceScatter, rowsOf, sumInOrder } from "./mpi.js";

const [kind, directory, from, to] = process.argv.slice(2) as [Kind, string, string, string];
const { train, heldOut } = loadData();

// Every rank has all parameters and all gradients, as its model needs them. The optimizer's memory has the own rows.
const params = startValues();
const sums = zeros();
const optimizer = AdamW.createSync(
  Object.fromEntries(
    NAMES.map((name) => {
      const shape = SHAPES[name];
      const row = params[name].length / shape[0];
      const rows = rowsOf(shape[0]);
      return [name, { shape, rows, data: params[name].subarray(rows[0] * row, rows[1] * row) }];
    }),
  ),
  OPTIONS,
);
const gather = () => {
  for (const name of NAMES) allGather(optimizer.param(name), params[name], SHAPES[name][0]);
};
if (Number(from) > 0) {
  await loadShardFiles(join(directory, `epoch-${from}`), optimizer);
  gather();
}

const gradScale = gradScaleOf(kind);
for (let epoch = Number(from); epoch < Number(to); epoch++) {
  for (const parts of epochOf(train, epoch)) {
    for (const name of NAMES) sums[name].fill(0);
    const [first, end] = rowsOf(PARTS);
    for (const indices of parts.slice(first, end)) addGradient(params, sums, train, indices, kind);
    for (const name of NAMES) {
      const [rows] = SHAPES[name];
      reduceScatter(sums[name], optimizer.grad(name), rows);
    }
    const squares = optimizer.sumOfSquares({ gradScale });
    const gradNorm = Math.sqrt(sumInOrder(squares));
    optimizer.step({ clipNorm: 1, gradScale, gradNorm });
    gather();
  }
  const save = join(directory, `epoch-${epoch + 1}`);
  await saveShards(save, optimizer, { rank, ranks, run: "the example's" });
  barrier();
  if (rank === 0) {
    await completeShards(save);
    const { accuracy } = evaluate(params, heldOut);
    console.log(
      `epoch ${epoch + 1}, ${ranks} ${ranks === 1 ? "rank" : "ranks"}: ${(100 * accuracy).toFixed(1)} % of held-out digits right`,
    );
  }
  barrier();
}
finalize();

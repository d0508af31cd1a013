import { existsSync } from "node:fs";
import { loadCheckpointFile, saveCheckpointFile } from "fused-adam/node";
import { Tinypool } from "tinypool";
import type { Job, Outcome } from "./job.js";
import { checkpointOf } from "./journal.js";
import { Network } from "./network.js";
import { TASKS, type TaskName } from "./tasks.js";
import { Training } from "./training.js";

/** What every worker is given once. */
export interface WorkerData {
  /** assembly/network.ts, compiled. */
  readonly module: WebAssembly.Module;
  /** For the checkpoints of runs that are under way. */
  readonly folder: string;
}

/** Steps from one checkpoint to the next. */
const CHECKPOINT_EVERY = 1000;

const prepare = (name: TaskName) => {
  const task = TASKS[name]();
  const { module } = Tinypool.workerData as WorkerData;
  const room = task.batch ?? task.split(1).train.length;
  return { task, network: new Network(module, task.data, task.hidden, room) };
};
const prepared: { [name in TaskName]?: ReturnType<typeof prepare> } = {};

/** A run from its start, or from where its checkpoint was taken, to its end. */
export default async function work(job: Job): Promise<Outcome> {
  prepared[job.task] ??= prepare(job.task);
  const { task, network } = prepared[job.task]!;
  const file = checkpointOf((Tinypool.workerData as WorkerData).folder, job);
  const training = new Training(task, network, job);
  try {
    if (existsSync(file)) await loadCheckpointFile(file, training.optimizer);
    while (training.step < job.steps) {
      const next = training.step + CHECKPOINT_EVERY;
      training.runTo(Math.min(next, job.steps));
      if (next < job.steps) await saveCheckpointFile(file, training.optimizer, { params: true });
    }
    return { train: training.evaluate("train"), heldOut: training.evaluate(job.heldOut) };
  } finally {
    training.optimizer.dispose();
  }
}

import { compile } from "./compile.js";
import { load } from "./library.js";
import { createOptimizer, createTask } from "./train.js";

const STEPS = 250;

const lib = await load(compile());
const before = lib.memory.buffer.byteLength;
const task = createTask(lib, 400, 1);
const optimizer = createOptimizer(lib, task, STEPS);
console.log(
  `net.c's memory: ${before / 1024} KiB, grown to ${lib.memory.buffer.byteLength / 1024} KiB by its allocator`,
);
console.log(
  `optimizer: ${optimizer.names.join(", ")}, ${optimizer.kernel} kernel, on ${optimizer.memory === lib.memory ? "that memory" : "another"}\n`,
);

for (let step = 1; step <= STEPS; step++) {
  const loss = task.lossAndGradients();
  optimizer.step({ zeroGrad: true });
  if (step === 1 || step % 25 === 0) {
    console.log(
      `step ${String(step).padStart(4)}  loss ${loss.toFixed(4)}  ${(100 * task.accuracy()).toFixed(1)} % right`,
    );
  }
}

// The moments came from the library's allocator, and are returned to it once the optimizer is disposed.
optimizer.dispose();
for (const { expAvg, expAvgSq } of Object.values(task.pointers))
  for (const moment of [expAvg, expAvgSq]) lib.release(moment);

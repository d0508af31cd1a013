/** Two clients and a server in one process, federated by DISCO over loopback. `tsx main.ts [cpu | wasm]` */
import { createRequire } from "node:module";
import { dirname } from "node:path";
import disco from "@epfml/discojs-node";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import { adamw } from "fused-adam/tfjs";
import { type Dataset, PIXELS } from "../shared/data.js";
import { loadDigits } from "../shared/digits.js";
import { MirroredClient, type Sent } from "./client.js";
import type { Hyper } from "./mirror.js";
import { serve } from "./server.js";
import { accuracyOf, createModel, dataOf, LEARNING_RATE, TASK_ID, taskWith } from "./task.js";

const CLIENTS = ["A", "B"];
const DIGITS_EACH = 500;
const HYPER: Hyper = { lr: LEARNING_RATE, weightDecay: 0.1, clipNorm: 1 };

const { tf } = disco;
const [backend = "cpu"] = process.argv.slice(2);
setWasmPaths(`${dirname(createRequire(import.meta.url).resolve("@tensorflow/tfjs-backend-wasm"))}/`);
if (!(await tf.setBackend(backend))) throw new Error(`"backend": expected "cpu" or "wasm", got "${backend}"`);

// DISCO fetches the model with axios, which would ask a proxy for loopback, too.
process.env.no_proxy = "127.0.0.1";

const { train, heldOut } = loadDigits(CLIENTS.length * DIGITS_EACH, 500, 1);
const model = createModel();
const server = await serve(TASK_ID, model, CLIENTS.length);
const before = accuracyOf(model, heldOut);
const sent: Sent = new Map();

const clients = CLIENTS.map((name) => {
  // The rate comes from the task.
  const optimizer = adamw(tf, { weightDecay: HYPER.weightDecay, clipNorm: HYPER.clipNorm });
  const task = taskWith(optimizer);
  return { name, task, client: new MirroredClient(server.url, task, optimizer, HYPER, sent) };
});

await Promise.all(
  clients.map(async ({ task, client }, i) => {
    const run = new disco.Disco(task, { client, scheme: disco.TrainingSchemes.FEDERATED });
    await run.fit(await dataOf(part(train, i * DIGITS_EACH, DIGITS_EACH), task));
    await client.mirror!.finish();
    await run.close();
  }),
);
server.close();

console.log(`\n${CLIENTS.length} clients and a server on ${server.url.host}, "${tf.getBackend()}" backend`);
for (const { name, client } of clients) {
  const { steps, rounds, averages, faults } = client.mirror!;
  console.log(`client ${name}: ${steps} steps, ${rounds} rounds, ${averages.length} tensors of averages`);
  for (const fault of faults.slice(0, 10)) console.log(`  not the core's bits: ${fault}`);
}
const faults = clients.flatMap(({ client }) => client.mirror!.faults).length;
console.log(
  faults === 0
    ? "no bit off the core's: every step, every round's start at the average, the moments; no average was written to"
    : `${faults} differences`,
);
const after = accuracyOf(clients[0]!.client.mirror!.model, heldOut);
console.log(`held out: ${before.toFixed(1)} % right before, ${after.toFixed(1)} % after`);
// DISCO's timeouts, of 10 seconds each, would keep the process.
process.exit(faults === 0 ? 0 : 1);

function part({ images, labels }: Dataset, start: number, size: number): Dataset {
  const rows = images.subarray(start * PIXELS, (start + size) * PIXELS);
  return { images: rows, labels: labels.subarray(start, start + size), size };
}

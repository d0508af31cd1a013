import { agree, COMMON_STEPS, time } from "./compare.js";
import {
  type Contender,
  createProblem,
  fusedAdam,
  type Problem,
  plainLoop,
  tfjsAdam,
  tfjsFusedAdam,
} from "./contenders.js";
import { BACKENDS, type BackendChoice, type SpeedReport, type SpeedRequest, type SpeedRow } from "./speedProtocol.js";

let configured = false;

const report = (message: SpeedReport) => postMessage(message);
const doing = (what: string) => report({ type: "doing", what });
const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

addEventListener("message", async ({ data }: MessageEvent<SpeedRequest>) => {
  try {
    await compare(data);
  } catch (error) {
    report({ type: "failed", message: messageOf(error) });
  }
});

async function compare({ backends, length, threads }: SpeedRequest): Promise<void> {
  const problem = createProblem(length, COMMON_STEPS);
  const missing: string[] = [];
  const contenders: Contender[] = [];
  const add = async (name: string, create: () => Contender | Promise<Contender>) => {
    try {
      contenders.push(await create());
    } catch (error) {
      missing.push(`${name}: ${messageOf(error)}`);
    }
  };

  contenders.push(await fusedAdam(problem, 1));
  if (threads > 1) await addThreads(contenders, problem, threads);
  contenders.push(plainLoop(problem));
  doing("Fetching TensorFlow.js …");
  for (const backend of BACKENDS[backends]) {
    await add(`TensorFlow.js, ${backend}`, async () => tfjsAdam(await loadTfjs(backends), backend, problem));
    if (backends !== "cpus") {
      await add(`fused-adam/tfjs, ${backend}`, async () => tfjsFusedAdam(await loadTfjs(backends), backend, problem));
    }
  }

  doing("Checking that all compute the same …");
  const differences = await agree(contenders);
  const speeds = await time(contenders, doing);
  for (const contender of contenders) {
    await contender.ready?.();
    contender.dispose();
  }
  const rows = contenders.map(
    ({ name }, i): SpeedRow => ({ name, stepsPerSecond: speeds[i]!, difference: differences[i]! }),
  );
  report({ type: "done", rows, missing });
}

/** Loaded and configured once; if loading failed, the next call tries again. */
async function loadTfjs(backends: BackendChoice) {
  const tf = await import("./tfjs.js");
  if (backends !== "cpus") await import("./tfjsGpu.js");
  if (!configured) tf.configureWasm();
  configured = true;
  return tf;
}

/** A row for more than one thread, if the package got more than one. */
async function addThreads(contenders: Contender[], problem: Problem, threads: number): Promise<void> {
  const contender = await fusedAdam(problem, threads);
  if (contender.name === contenders[0]!.name) contender.dispose();
  else contenders.push(contender);
}

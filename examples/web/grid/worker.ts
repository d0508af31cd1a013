import { addition } from "../../decoupling/addition.js";
import { Network } from "../../decoupling/network.js";
import { type Choice, Training } from "../../decoupling/training.js";
import { messages } from "../messages.js";
import type { Report, Request } from "./protocol.js";

/** Steps from one point of a curve to the next: some 30 ms. */
const POINT_EVERY = 250;

const task = addition();
let network: Network | undefined;
/** Called when the page says so; undefined while it runs. */
let goOn: (() => void) | undefined;
let pause: Promise<void> | undefined;

const report = (message: Report) => postMessage(message);

async function open(kernel: string): Promise<void> {
  const response = await fetch(kernel);
  if (!response.ok) throw new Error(`${kernel}: the server answered ${response.status}`);
  const module = await WebAssembly.compile(await response.arrayBuffer());
  network = new Network(module, task.data, task.hidden, task.split(1).train.length);
  report({ type: "ready" });
}

async function run(choice: Choice): Promise<void> {
  const training = new Training(task, network!, choice);
  for (let step = 0; ; step = Math.min(step + POINT_EVERY, choice.steps)) {
    training.runTo(step);
    report({ type: "point", choice, point: { step, ...training.evaluate("validation") } });
    if (step === choice.steps) break;
    await messages();
    await pause;
  }
  training.optimizer.dispose();
}

addEventListener("message", async ({ data: request }: MessageEvent<Request>) => {
  try {
    if (request.type === "open") await open(request.kernel);
    if (request.type === "run") await run(request.choice);
    if (request.type === "pause") {
      pause ??= new Promise((resolve) => {
        goOn = resolve;
      });
    }
    if (request.type === "continue") {
      goOn?.();
      pause = undefined;
    }
  } catch (error) {
    console.error(error);
    report({ type: "failed", message: error instanceof Error ? error.message : String(error) });
  }
});

import { FEATURES } from "./logistic.js";
import { train } from "./train.js";

for (const threads of [1, 2]) {
  console.log(`${FEATURES.toLocaleString("en")} weights, threads: ${threads}`);
  const { heldOut } = await train(threads, (step, loss) => console.log(`step ${step}: loss ${loss.toFixed(4)}`));
  console.log(`held out: ${100 * heldOut} % right`);
}

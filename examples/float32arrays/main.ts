import { loadDigits } from "../shared/digits.js";
import { createRng } from "../shared/rng.js";
import { adamwFor } from "./integrate.js";
import { createNetwork, pairsOf } from "./network.js";
import { accuracy, trainEpoch } from "./train.js";

const { train, heldOut } = loadDigits(2000, 1000, 1);
const network = createNetwork(createRng(1));
const step = adamwFor(pairsOf(network), { lr: 3e-3, weightDecay: 0.01 });
console.log(`toygrad, 784-32-10: ${train.size} MNIST digits to train on, ${heldOut.size} held out`);

for (let epoch = 1; epoch <= 5; epoch++) {
  const loss = trainEpoch(network, train, 20, step);
  console.log(
    `epoch ${epoch}  loss ${loss.toFixed(3)}  held out: ${(100 * accuracy(network, heldOut)).toFixed(1)} % right`,
  );
}

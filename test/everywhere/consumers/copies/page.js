/** Two installations of the package in one page, running at the same time, each taking the other's checkpoints. */
import * as first from "./package.js";
import * as second from "./second.js";
import { train } from "./train.js";

const { encodeCheckpoint } = first;
const mixed = { ...second, encodeCheckpoint };

globalThis.results = (async () => {
  const [one, other, both] = await Promise.all([first, second, mixed].map((api) => train(api, "stepAsync")));
  if (first.AdamW === second.AdamW) throw new Error("one copy");
  return { one, other, both };
})();

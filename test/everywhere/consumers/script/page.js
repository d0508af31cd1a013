import { train } from "./train.js";

globalThis.results = (async () => ({ page: await train(fusedAdam, "stepAsync") }))();

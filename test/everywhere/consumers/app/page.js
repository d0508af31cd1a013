import * as api from "./package.js";
import { train } from "./train.js";

const inWorker = () =>
  new Promise((resolve, reject) => {
    const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new Error(event.message));
    };
  });

globalThis.results = (async () => ({ page: await train(api, "stepAsync"), worker: await inWorker().catch(String) }))();

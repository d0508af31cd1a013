/** Runs one bundled test file in this worker. */
import type { FileResult, Host } from "./result.js";

addEventListener("message", async ({ data: { bundle, host } }: MessageEvent<{ bundle: string; host: Host }>) => {
  const result: FileResult = await import(bundle)
    .then(({ run }) => run(host))
    .catch((error) => ({ tests: [], error: `${error}\n${error.stack}` }));
  postMessage(result);
});

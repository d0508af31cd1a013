/** Runs one bundled test file in workerd: prints the result, in a line of its own. */
import half from "half-simd.wasm";
import simd from "simd.wasm";
import type { Job } from "./process.js";

export default {
  async test(_: unknown, { job: { bundle, host } }: { job: Omit<Job, "output"> }): Promise<void> {
    const { run } = await import(bundle);
    console.log(JSON.stringify(await run({ ...host, modules: { simd, half } })));
  },
};

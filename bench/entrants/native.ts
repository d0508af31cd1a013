import { check, type RegionName } from "../check.js";
import { HYPER, startValues } from "../data.js";
import { NativeProcess } from "../native/process.js";
import { type Entrant, STEP_MEMORY, STEP_TRAFFIC, verifySteps } from "./entrant.js";

export const NATIVE = "C++ AVX2";
export const NATIVE_2 = "C++ AVX2, 2 threads";
export const NATIVE_LOAD_STORE_2 = "C++ loads and stores, 2 threads";

const KERNELS = { adamw: NATIVE, load_store: "C++ loads and stores" } as const;

/** AdamW or its loads and stores in C++, in a process of its own that times its own steps. */
export function nativeEntrant(kernel: keyof typeof KERNELS, threads: 1 | 2): Entrant {
  const name = KERNELS[kernel] + (threads === 2 ? ", 2 threads" : "");
  return {
    name,
    kind: kernel === "adamw" ? "native" : "limit",
    traffic: STEP_TRAFFIC,
    memory: STEP_MEMORY,
    async open(length) {
      const child = await NativeProcess.start();
      const { param, grad } = startValues(length);
      const { lr, betas, eps, weightDecay } = HYPER;
      const args = [length, param.length, lr, ...betas, eps, weightDecay];
      await child.ask(`open ${args.join(" ")}`, param, grad);
      const time = async (calls: number) => Number(await child.ask(`time ${kernel} ${threads} ${calls}`));
      const read = (region: RegionName) => child.values(`read ${{ param: 0, expAvg: 1, expAvgSq: 2 }[region]}`, length);
      const verify =
        kernel === "adamw"
          ? verifySteps({ name, time }, length, read, { tolerance: 2 ** -20 })
          : async () => {
              await time(1);
              await check(name, length, read, { steps: 0, tolerance: 0 });
            };
      return { name, time, verify, close: () => child.close() };
    },
  };
}

import type { RuntimeOptions } from "fused-adam";
import { createModel } from "../model.js";
import { type Entrant, STEP_MEMORY, STEP_TRAFFIC, verifySteps } from "./entrant.js";

/** What everything else is compared with. */
export const FUSED = "fused-adam";
export const FUSED_2 = "fused-adam, 2 threads";
export const FUSED_SCALAR = "fused-adam scalar";

type Kernel = Exclude<RuntimeOptions["kernel"], undefined | "auto">;

/** The package as its users run it: an optimizer with a memory of its own, and `step()`. */
export function packageEntrant(kernel: Kernel, threads: 1 | 2, largest?: Entrant["largest"]): Entrant {
  const name = (kernel === "simd" ? FUSED : `${FUSED} ${kernel}`) + (threads === 2 ? ", 2 threads" : "");
  // Relaxed multiply-adds may round once where the reference rounds twice.
  const tolerance = kernel === "relaxed" ? 2 ** -20 : 0;
  return {
    name,
    kind: "package",
    traffic: STEP_TRAFFIC,
    memory: STEP_MEMORY,
    ...(largest === undefined ? {} : { largest }),
    async open(length) {
      const { optimizer, views } = createModel(length, { kernel, threads });
      const contender = { name, step: () => optimizer.step() };
      const verify = verifySteps(contender, length, (region) => [views[region]], { tolerance });
      return { ...contender, verify, close: () => optimizer.dispose() };
    },
  };
}

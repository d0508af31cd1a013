import { warnOnce } from "../checks/warn.js";
import type { GivenModule } from "../kernels/given.js";
import { isShared } from "../memory/shared.js";
import { parallelism, whyAlone } from "./host.js";

/**
 * A program of fewer elements runs on the caller alone. Measured on two cores, the time of two threads over the time of one: 0.6 from
 * 32,768 elements on while steps follow each other, so that no worker falls asleep. With pauses between the steps 1.3 at 32,768, 1 at
 * 65,536 and 0.7 at 131,072, because it takes 50 to 75 µs to wake a worker.
 */
export const SMALL = 65536;

/** The most that "auto" takes: more threads do not help where the memory's bandwidth is the limit. */
const MOST_AUTO = 8;

/**
 * How many threads an optimizer of so many elements gets.
 *
 * @param memory the host's, if it is not the optimizer's own
 * @param module the host's, if it has compiled one
 */
export function chooseThreads(
  asked: number | "auto",
  elements: number,
  memory: WebAssembly.Memory | undefined,
  module: GivenModule | undefined,
): number {
  const threads = asked !== "auto" ? asked : elements < SMALL ? 1 : Math.min(MOST_AUTO, parallelism());
  if (threads === 1) return 1;
  const reason =
    memory !== undefined && !isShared(memory)
      ? "options.memory is not shared"
      : module?.shared === false
        ? "options.module is not for shared memory"
        : whyAlone();
  if (reason === undefined) return threads;
  warnAlone(asked, reason);
  return 1;
}

export function warnAlone(asked: number | "auto", reason: string): void {
  warnOnce(`"threads": ${asked} asked for, steps run on one: ${reason}`);
}

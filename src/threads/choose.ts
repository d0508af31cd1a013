import { warnOnce } from "../checks/warn.js";
import type { GivenModule } from "../kernels/given.js";
import { isShared } from "../memory/shared.js";
import { parallelism, whyAlone } from "./host.js";

/**
 * Below so many elements a program runs on the caller alone. Measured on two cores, two threads against one: 1.7 times as fast
 * from 32,768 elements on while steps follow each other and workers still watch; but one that fell asleep takes 50 to 75 µs to
 * wake, and with pauses between the steps two threads took 1.3 times as long at 32,768, as long at 65,536, and 0.7 at 131,072.
 */
export const SMALL = 65536;

/** The most that "auto" takes: from a few cores on, memory sets the pace. */
const AUTO = 8;

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
  const threads = asked !== "auto" ? asked : elements < SMALL ? 1 : Math.min(AUTO, parallelism());
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

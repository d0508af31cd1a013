/** How many random cases a property test tries, and which. */
import type { Parameters } from "fast-check";

const { FUZZ_MINUTES, FUZZ_SEED } = globalThis.process?.env ?? {};

/** So long a property test may look for a case that fails; 0: it tries the cases it always tries. */
export const FUZZ_MILLISECONDS = 60_000 * Number(FUZZ_MINUTES ?? 0);

/**
 * Parameters of `fc.assert`. A gate must fail because of a change, so by default these are the same cases in every run. With
 * FUZZ_MINUTES, as in the nightly workflow, they are others in every run, and as many as that time allows. What fails prints its
 * seed, to be given as FUZZ_SEED.
 */
export function runs<T>(numRuns: number): Parameters<T> {
  const seed = FUZZ_SEED === undefined ? {} : { seed: Number(FUZZ_SEED) };
  if (FUZZ_MILLISECONDS === 0) return { seed: 1, ...seed, numRuns };
  return { ...seed, numRuns: Number.MAX_SAFE_INTEGER, interruptAfterTimeLimit: FUZZ_MILLISECONDS };
}

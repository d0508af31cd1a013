import { check, type Expectation, type RegionName, type Values } from "../check.js";
import { type Contender, timerOf } from "../measure.js";

/** A participant of the comparison, at any size. */
export interface Entrant {
  readonly name: string;
  /** What it is: goals compare kinds. */
  readonly kind: "package" | "library" | "loop" | "native" | "limit";
  /** Bytes a step moves per parameter, at least; undefined where that is not known. */
  readonly traffic?: number;
  /** Bytes it needs per parameter while it runs. */
  readonly memory: number;
  /** The largest size it is run at, and why not larger. */
  readonly largest?: { readonly length: number; readonly reason: string };
  /** Prepares to step over `length` parameters, from the bench's start values. */
  open(length: number): Promise<Entry>;
}

/** An entrant at a size. */
export type Entry = Contender & {
  /** Throws if its results are wrong. Called once, before it is timed. */
  readonly verify: () => Promise<void>;
  /** Frees its memory. */
  readonly close: () => unknown;
};

/** A parameter, a gradient and two moments read, all but the gradient written. */
export const STEP_TRAFFIC = 28;
/** A parameter, a gradient and two moments. */
export const STEP_MEMORY = 16;

/** The first two steps, against the reference's: the second has moments to start from. */
export function verifySteps(
  contender: Contender,
  length: number,
  read: (region: RegionName) => Values,
  expectation: Omit<Expectation, "steps">,
): () => Promise<void> {
  return async () => {
    const time = timerOf(contender);
    for (let i = 0; i < 2; i++) await time(1);
    await check(contender.name, length, read, { ...expectation, steps: 2 });
  };
}

import { fail } from "../checks/errors.js";

/** What an optimizer is between calls: whole, or lost, after a step that was interrupted in the middle of its update. */
export type AtRest = "idle" | "lost";

/**
 * What an optimizer is doing, as one state:
 *
 *     idle       nothing
 *     exclusive  a call during which every other call is refused
 *     stepping   a stepAsync that waits for its workers: as exclusive, except that dispose() is allowed
 *     lost       nothing; some parameters and moments belong to the last step and some to the one before
 *     disposed   nothing any more
 */
type State = AtRest | "exclusive" | "stepping" | "disposed";

/** The state of an optimizer, and which call may change it when. */
export class Lifecycle {
  #state: State = "idle";

  /** @throws Error `ERR_DISPOSED` */
  checkAlive(): void {
    if (this.#state === "disposed") fail(Error, "ERR_DISPOSED", "optimizer", "one that is in use", "a disposed one");
  }

  /** @throws Error `ERR_DISPOSED`, `ERR_BUSY` */
  checkAtRest(): AtRest {
    const state = this.#state;
    if (state === "idle" || state === "lost") return state;
    this.checkAlive();
    fail(Error, "ERR_BUSY", "optimizer", "one that is idle", "one with a call under way");
  }

  /**
   * Begins a call during which every other is refused.
   *
   * @returns what the optimizer was before, which `leave` takes if the call has not changed it
   * @throws as `checkAtRest`
   */
  enter(): AtRest {
    const before = this.checkAtRest();
    this.#state = "exclusive";
    return before;
  }

  leave(state: AtRest): void {
    if (this.#state !== "disposed") this.#state = state;
  }

  /** Waits, in a call that was entered, for what workers do. @throws Error `ERR_DISPOSED` if `dispose` was called meanwhile */
  async wait(work: Promise<void> | undefined): Promise<void> {
    this.#state = "stepping";
    try {
      await work;
    } finally {
      this.checkAlive();
      this.#state = "exclusive";
    }
  }

  /** @returns false if that has happened before @throws Error `ERR_BUSY` */
  dispose(): boolean {
    if (this.#state === "disposed") return false;
    if (this.#state !== "stepping") this.checkAtRest();
    this.#state = "disposed";
    return true;
  }
}

/** @throws Error `ERR_STATE_LOST` */
export function checkWhole(state: AtRest): void {
  if (state === "lost") {
    fail(Error, "ERR_STATE_LOST", "optimizer", "a state dict to be loaded", "half a step, a worker lost");
  }
}

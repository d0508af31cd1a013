/** Runs of a trial: the first wakes workers, or lets them fall asleep, and does not count. */
const RUNS = 4;
/** Runs between two trials: few at first, then twice as many each time, so that all trials together cost a few percent at most. */
const FEWEST = 64;
const MOST = 4096;

/**
 * Decides, again and again, whether programs run on all threads or on the caller alone, by running some on each and comparing the
 * times per element. Which is quicker depends on whether the machine has an idle core, and on how much time passes between two steps:
 * it takes 50 to 75 µs to wake a worker that has fallen asleep.
 */
export class Trials {
  /** The time per element of each run of the trial that is under way, first alone, then on all threads. */
  #times: number[] = [];
  /** How many runs are left until the next trial. */
  #left = 0;
  #pause = FEWEST;
  #together = false;

  /** @returns what that one of the two returned that it called */
  run<T>(elements: number, alone: () => T, together: () => T): T {
    if (this.#left > 0) {
      this.#left--;
      return this.#together ? together() : alone();
    }
    const run = this.#times.length < RUNS ? alone : together;
    const start = performance.now();
    const result = run();
    this.#times.push((performance.now() - start) / elements);
    if (this.#times.length === 2 * RUNS) this.#decide();
    return result;
  }

  #decide(): void {
    const [alone, together] = [0, RUNS].map((first) => median(this.#times.slice(first + 1, first + RUNS)));
    this.#together = together! < alone!;
    this.#times = [];
    this.#left = this.#pause;
    this.#pause = Math.min(2 * this.#pause, MOST);
  }
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1]!;
}

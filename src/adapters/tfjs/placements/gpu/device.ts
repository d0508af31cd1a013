import type { StepOptions, StepResult } from "../../../../checks/types.js";
import type { Part, Placement } from "../../placement.js";
import type { Settings } from "../../settings.js";
import type { Slot } from "../../slot.js";
import { isVariable } from "../../tensors.js";
import type { KernelBackend, TensorInfo, Tf } from "../../types.js";
import { Flight } from "./flight.js";
import { isLost, unlessLost } from "./lost.js";
import { type Plan, planOf, roomFor, rowsOf, sheetOf } from "./plan.js";
import { HEAD, type Kernel, normOf, SQUARES, SUM, VERDICT } from "./shaders.js";

/** What both GPU backends of tfjs have. */
export interface DeviceBackend extends KernelBackend {
  makeTensorInfo(shape: readonly number[], dtype: "float32", values?: Float32Array): TensorInfo;
}

/** The shape of so many vectors of four: a packed texel of tfjs's webgl backend holds two rows of two columns. */
export const vectors = (count: number): [number, number] => [2 * count, 2];

/** A part of a step, and which of the plan's classes it is of. */
export interface Work extends Part {
  readonly class: number;
}

interface Verdict {
  readonly info: TensorInfo;
  /** The step that it is of, and how many counters it has. */
  readonly step: number;
  readonly counters: number;
}

/** Hears of a step once its outcome is known, and how many up to it were skipped that were not known to be. */
export type Known = (result: StepResult, skipped: number) => void;

/** Variables and moments on a GPU, where the step is computed. Nothing is waited for and nothing read back in a step. */
export abstract class DevicePlacement implements Placement {
  readonly #flight: Flight | undefined;
  #slots: readonly Slot[];
  #verdict: Verdict | undefined;
  #reading: Promise<void> | undefined;
  /** What is being read. */
  #read: Verdict | undefined;
  #released = false;

  constructor(
    readonly tf: Tf,
    readonly backend: DeviceBackend,
    readonly settings: Settings,
    slots: readonly Slot[],
    readonly known: Known,
  ) {
    const { clipNorm, skipNonFinite } = settings.step;
    if (clipNorm !== undefined || skipNonFinite) this.#flight = new Flight();
    this.#slots = slots;
  }

  follow(slots: readonly Slot[]): void {
    this.#slots = slots;
  }

  step(parts: readonly Part[], options: StepOptions): StepResult | undefined {
    const flight = this.#flight;
    const plan = planOf(this.settings, this.#slots, parts, flight);
    this.tf.tidy(() => {
      const classOf = new Map(plan.classes.flatMap(({ slots }, i) => slots.map((slot) => [slot, i] as const)));
      // A variable may be one that the step writes: a clone of it keeps what is there.
      const work = parts.flatMap(({ slot, gradient }) => {
        const own = isVariable(gradient) ? gradient.clone() : gradient;
        return gradient.size === 0 ? [] : [{ slot, gradient: own, class: classOf.get(slot)! }];
      });
      if (work.length > 0 || flight !== undefined) this.#run(work, plan, parts, options);
    });
    for (const { slot } of parts) slot.step++;
    if (flight === undefined) return { step: plan.after.reduce((a, b) => Math.max(a, b)), skipped: false };
    flight.depart(parts);
    this.#ask();
    return undefined;
  }

  async settle(): Promise<void> {
    const flight = this.#flight;
    while (flight !== undefined && flight.known < flight.last && !this.#released && !isLost(this.backend)) {
      this.#ask();
      await this.#reading;
    }
  }

  finish(): void {
    const flight = this.#flight;
    if (flight !== undefined && flight.known < flight.last)
      this.#land(this.#verdict!, this.readNow(this.#verdict!.info));
  }

  publish(): void {}

  release(): void {
    this.#released = true;
    if (this.#verdict !== this.#read) this.#discard(this.#verdict);
  }

  /** Before a step's work: everything that it reads is on the device. */
  protected begin(_work: readonly Work[], _infos: readonly TensorInfo[]): void {}

  /** Enqueues a computation of `count` vectors. */
  protected abstract compute(kernel: Kernel, inputs: readonly TensorInfo[], count: number): TensorInfo;

  /** Enqueues the update, last of all. @param decision the verdict, where there is one, and the sheet */
  protected abstract update(work: readonly Work[], plan: Plan, decision: readonly TensorInfo[]): void;

  /** @throws Error `ERR_BACKEND` where nothing can be read synchronously */
  protected abstract readNow(verdict: TensorInfo): Float32Array;

  #run(work: readonly Work[], plan: Plan, parts: readonly Part[], options: StepOptions): void {
    const flight = this.#flight;
    const last = this.#verdict;
    const sheet = this.#upload(
      flight === undefined ? rowsOf(plan) : sheetOf(plan, parts, options, flight, last?.counters ?? 0),
    );
    const made = [sheet];
    if (flight === undefined) {
      this.begin(work, made);
      this.update(work, plan, made);
    } else {
      const zeros = this.#upload(new Float32Array(4));
      this.begin(work, [sheet, zeros]);
      let sum = zeros;
      for (const { gradient } of work) {
        // As many sums as elements in each.
        const squares = this.compute(SQUARES, [gradient], Math.ceil(Math.sqrt(gradient.size)));
        made.push(sum, squares);
        sum = this.compute(SUM, [sum, squares], 1);
      }
      made.push(sum);
      const counters = flight.counters.length;
      const count = roomFor(HEAD + counters + plan.classes.length, 16);
      const info = this.compute(VERDICT, [last?.info ?? zeros, sum, sheet], count);
      this.update(work, plan, [info, sheet]);
      this.#verdict = { info, step: flight.last + 1, counters };
      if (last !== this.#read) this.#discard(last);
    }
    for (const { dataId } of made) this.backend.disposeData(dataId);
  }

  #upload(values: Float32Array): TensorInfo {
    return this.backend.makeTensorInfo(vectors(values.length / 4), "float32", values);
  }

  /** Reads the last verdict, one at a time: what was in flight before is known with it. */
  #ask(): void {
    if (this.#reading !== undefined) return;
    const flight = this.#flight!;
    const verdict = this.#verdict!;
    const { step } = verdict;
    this.#read = verdict;
    const asked = this.backend.read(verdict.info.dataId) as Promise<Float32Array>;
    this.#reading = unlessLost(this.backend, asked)
      .then((values) => {
        if (values !== undefined && !this.#released && flight.known < step) this.#land(verdict, values);
      })
      .finally(() => {
        this.#reading = undefined;
        this.#read = undefined;
        if (this.#released || verdict !== this.#verdict) this.#discard(verdict);
        if (!this.#released && flight.known < flight.last && flight.known === step) this.#ask();
      });
    // Who settles hears of a failure; nobody else waits.
    this.#reading.catch(() => {});
  }

  #land({ step, counters }: Verdict, values: Float32Array): void {
    const skipped = this.#flight!.land(step, values.subarray(HEAD, HEAD + counters));
    const gradNorm = normOf(values) / this.settings.step.gradScale;
    this.known({ step: this.#flight!.largestStep(this.#slots), skipped: values[3]! > 0, gradNorm }, skipped);
  }

  #discard(verdict: Verdict | undefined): void {
    if (verdict !== undefined) this.backend.disposeData(verdict.info.dataId);
  }
}

import { Adam, AdamW } from "fused-adam";
import type { Split } from "../shared/data.js";
import { initialValues } from "../shared/model.js";
import { createRng } from "../shared/rng.js";
import { type Rule, Run, type RunState } from "../shared/run.js";
import { EPOCHS, SEED } from "../shared/task.js";
import { WIDTHS } from "../shared/width.js";
import { DecayMeter, type DecayPictures, type MeterState } from "./decayMeter.js";
import { LABELS } from "./protocol.js";
import type { Change, Settings } from "./settings.js";

const OPTIMIZERS = [AdamW, Adam, Adam] as const;
/** The run without decay. */
const PLAIN = 2;
/** How many of the runs are looked at for what decay does to them. */
const METERED = 2;

/** Everything that a training needs to continue with the same bits, as plain data. */
export interface TrainerState {
  readonly settings: Settings;
  readonly changes: readonly Change[];
  readonly runs: readonly RunState[];
  readonly meters: readonly MeterState[];
}

/** Three runs that take their steps together, four with AdamW in another width, and what decay does to the weights of two. */
export class Trainer {
  readonly changes: Change[] = [];

  private constructor(
    public settings: Settings,
    /** As in `LABELS`; then, of another width than float32, AdamW's. */
    readonly runs: readonly Run[],
    readonly meters: readonly DecayMeter[],
  ) {}

  static async create(split: Split, settings: Settings, from?: TrainerState): Promise<Trainer> {
    const { lr, weightDecay, beta1, beta2, threads, width } = settings;
    const rules = LABELS.map(
      (label, i): Rule => ({ label, optimizer: OPTIMIZERS[i]!, weightDecay: i === PLAIN ? 0 : weightDecay }),
    );
    if (width !== "float32") rules.push({ ...rules[0]!, label: `AdamW with ${width}` });
    const runs: Run[] = [];
    try {
      for (const [i, rule] of rules.entries()) {
        const options = { epochs: EPOCHS, seed: SEED, lr, betas: [beta1, beta2], threads } as const;
        const formats = WIDTHS[i < LABELS.length ? "float32" : width];
        // A run that was not there before goes on where AdamW is.
        const state = from?.runs[i] ?? from?.runs[0];
        runs.push(await Run.create(rule, split, { ...options, ...formats, from: state }));
      }
    } catch (error) {
      for (const run of runs) run.dispose();
      throw error;
    }
    const { w1 } = initialValues(createRng(SEED));
    const meters = runs.slice(0, METERED).map((run, i) => new DecayMeter(run, w1, from?.meters[i]));
    const trainer = new Trainer(settings, runs, meters);
    trainer.changes.push(...(from?.changes ?? []));
    return trainer;
  }

  get steps(): number {
    return this.runs[0]!.steps;
  }

  /** Steps taken. */
  get step(): number {
    return this.runs[0]!.losses.length;
  }

  get finished(): boolean {
    return this.step >= this.steps;
  }

  /** The kernel and the number of threads that steps run on. */
  get engine(): { kernel: string; threads: number } {
    const { kernel, threads } = this.runs[0]!.model.optimizer;
    return { kernel, threads };
  }

  /** All of them, on the same batch. */
  advance(): void {
    for (const meter of this.meters) meter.step();
    for (const run of this.runs.slice(METERED)) run.step();
  }

  /** Takes effect with the next step. Another number of threads, or another width, needs another `Trainer`. */
  configure(settings: Settings): void {
    const changed = (["lr", "weightDecay", "beta1", "beta2"] as const).filter(
      (key) => settings[key] !== this.settings[key],
    );
    if (this.step > 0) {
      for (const key of changed) {
        this.changes.push({ step: this.step, key, from: this.settings[key], to: settings[key] });
      }
    }
    for (const [i, run] of this.runs.entries()) {
      const [weights, biases] = run.model.optimizer.paramGroups;
      run.lr = settings.lr;
      weights!.betas = biases!.betas = [settings.beta1, settings.beta2];
      if (i !== PLAIN) weights!.weightDecay = settings.weightDecay;
    }
    if (changed.length > 0) for (const meter of this.meters) meter.reset();
    this.settings = settings;
  }

  /** Undefined before the first step, and right after a change. */
  decay(): DecayPictures | undefined {
    const since = this.changes.at(-1)?.step ?? 0;
    if (this.step === since) return undefined;
    return { since, step: this.step, runs: this.meters.map((meter) => meter.picture(this.step - since)) };
  }

  state(): TrainerState {
    const { settings, changes, runs, meters } = this;
    return {
      settings,
      changes: [...changes],
      runs: runs.map((run) => run.state()),
      meters: meters.map((meter) => meter.state()),
    };
  }

  dispose(): void {
    for (const run of this.runs) run.dispose();
  }
}

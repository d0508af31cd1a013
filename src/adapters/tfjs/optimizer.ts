import { failMismatch, failType } from "../../checks/errors.js";
import type { Schedule, StepResult } from "../../checks/types.js";
import { warnOnce } from "../../checks/warn.js";
import { NOTHING_SAVED, readConfig, type Saved } from "./config.js";
import { type KindName, readSettings, type Settings } from "./settings.js";
import { disposeVariable, inUse, readGradients } from "./tensors.js";
import { Trainer } from "./trainer.js";
import type { FusedOptimizer, NamedTensor, NamedTensorMap, Scalar, serialization, Tf, Variable } from "./types.js";

/** Makes an optimizer of one copy of tfjs. */
export type Factory = (kind: KindName, options: unknown) => FusedOptimizer;

const factories = new WeakMap<Tf["Optimizer"], Factory>();

/**
 * The factory for this copy of tfjs, whose `tf.Optimizer` the classes extend. The first time, it registers them, so that models
 * that were saved with one can be loaded.
 */
export function factoryFor(tf: Tf): Factory {
  // Named here, and not where it is first used.
  if (typeof tf?.Optimizer !== "function" || typeof tf.engine !== "function") {
    failType("tf", 'what `import * as tf from "@tensorflow/tfjs"` gives', tf);
  }
  let factory = factories.get(tf.Optimizer);
  if (factory === undefined) {
    factory = define(tf);
    factories.set(tf.Optimizer, factory);
  }
  return factory;
}

function define(tf: Tf): Factory {
  abstract class Fused extends tf.Optimizer implements FusedOptimizer {
    readonly #trainer: Trainer;
    /** What `getWeights` lends as "iter". */
    #iter: Variable | undefined;
    #lastStep: StepResult | undefined;

    constructor(settings: Settings, saved: Saved) {
      super();
      this.#trainer = new Trainer(tf, settings, saved);
    }

    get learningRate(): number {
      return this.#trainer.learningRate;
    }

    set learningRate(value: number | Schedule) {
      this.#trainer.learningRate = value;
    }

    get lastStep(): StepResult | undefined {
      return this.#lastStep;
    }

    override minimize(f: () => Scalar, returnCost = false, varList?: Variable[]): Scalar | null {
      // tfjs's own leaves gradients behind if they are refused.
      const cost = tf.tidy(() => super.minimize(f, true, varList)!);
      if (returnCost) return cost;
      cost.dispose();
      return null;
    }

    override applyGradients(gradients: NamedTensorMap | NamedTensor[]): void {
      this.#lastStep = this.#trainer.step(readGradients(tf, gradients));
      if (!this.#lastStep.skipped) this.incrementIterations();
    }

    override async getWeights(): Promise<NamedTensor[]> {
      const moments = this.#trainer.moments();
      if (this.iterations > 2 ** 31 - 1) failMismatch("iterations", "an int32", String(this.iterations));
      const iter = tf.scalar(this.iterations, "int32");
      if (this.#iter !== undefined && inUse(tf, this.#iter)) this.#iter.assign(iter);
      else this.#iter = tf.variable(iter, false);
      iter.dispose();
      return [{ name: "iter", tensor: this.#iter }, ...moments];
    }

    override async setWeights(weights: NamedTensor[]): Promise<void> {
      this.iterations_ = await this.#trainer.load(weights);
    }

    override getConfig(): serialization.ConfigDict {
      return this.#trainer.config(this.iterations) as serialization.ConfigDict;
    }

    override dispose(): void {
      this.#trainer.dispose();
      if (this.#iter !== undefined) disposeVariable(tf, this.#iter);
    }
  }

  const classOf = (kind: KindName) =>
    class extends Fused {
      static readonly className = kind;

      static override fromConfig<T extends serialization.Serializable>(
        Class: serialization.SerializableConstructor<T>,
        config: serialization.ConfigDict,
      ): T {
        const { settings, saved, schedule } = readConfig(kind, config);
        if (schedule) {
          const rate = `the constant ${settings.hyper.lr} until learningRate is assigned`;
          warnOnce(
            `a model was saved whose learning rate followed a schedule, which is code and is not saved: it is ${rate}`,
          );
        }
        return new Class(settings, saved);
      }
    };
  const classes = { FusedAdam: classOf("FusedAdam"), FusedAdamW: classOf("FusedAdamW") };
  for (const Class of Object.values(classes)) tf.serialization.registerClass(Class);
  return (kind, options) => new classes[kind](readSettings(kind, options), NOTHING_SAVED);
}

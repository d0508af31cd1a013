import { failMismatch, failType } from "../../checks/errors.js";
import type { Schedule, StepResult } from "../../checks/types.js";
import { warnOnce } from "../../checks/warn.js";
import { INSPECT, type Inspect } from "../../optimizer/inspect.js";
import { failJson, trapHyper } from "../../optimizer/misuse.js";
import { NOTHING_SAVED, readConfig, type Saved } from "./config.js";
import { checkRules, type KindName, readSettings, type Settings } from "./settings.js";
import { disposeVariable, inUse, readGradients } from "./tensors.js";
import { Trainer } from "./trainer.js";
import type { FusedOptimizer, NamedTensor, NamedTensorMap, Scalar, serialization, Tf, Variable } from "./types.js";

const refuseJson = () => failJson("getConfig() and getWeights()");

/** Makes an optimizer of one copy of tfjs. */
export type Factory = (kind: KindName, options: unknown) => FusedOptimizer;

const factories = new WeakMap<Tf["Optimizer"], Factory>();
const rules = new WeakMap<Tf["Optimizer"], Settings["rule"]>();

/** Rules for models that are loaded from now on and were saved with rules of their own. */
export function registerRules(tf: Tf, given: unknown): void {
  rules.set(tf.Optimizer, checkRules(given));
}

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
    readonly toJSON = refuseJson;
    readonly #trainer: Trainer;
    /** What `getWeights` lends as "iter". */
    #iter: Variable | undefined;

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
      return this.#trainer.lastStep;
    }

    override get iterations(): number {
      return this.#trainer.iterations;
    }

    settled(): Promise<StepResult | undefined> {
      return this.#trainer.settle();
    }

    readable(): Promise<void> {
      return this.#trainer.readable();
    }

    override minimize(f: () => Scalar, returnCost = false, varList?: Variable[]): Scalar | null {
      // tfjs's own leaves gradients behind if they are refused.
      const cost = tf.tidy(() => super.minimize(f, true, varList)!);
      if (returnCost) return cost;
      cost.dispose();
      return null;
    }

    override applyGradients(gradients: NamedTensorMap | NamedTensor[]): void {
      this.#trainer.step(readGradients(tf, gradients));
    }

    override async getWeights(): Promise<NamedTensor[]> {
      const moments = await this.#trainer.moments();
      if (this.iterations > 2 ** 31 - 1) failMismatch("iterations", "an int32", String(this.iterations));
      const iter = tf.scalar(this.iterations, "int32");
      if (this.#iter !== undefined && inUse(tf, this.#iter)) this.#iter.assign(iter);
      else this.#iter = tf.variable(iter, false);
      iter.dispose();
      return [{ name: "iter", tensor: this.#iter }, ...moments];
    }

    override async setWeights(weights: NamedTensor[]): Promise<void> {
      await this.#trainer.load(weights);
    }

    override getConfig(): serialization.ConfigDict {
      return this.#trainer.config() as serialization.ConfigDict;
    }

    override dispose(): void {
      this.#trainer.dispose();
      if (this.#iter !== undefined) disposeVariable(tf, this.#iter);
    }

    [INSPECT](_: number, options: object, inspect: Inspect): string {
      return `${this.getClassName()} ${inspect({ ...this.getConfig(), iterations: this.iterations }, options)}`;
    }
  }
  trapHyper(Fused.prototype, (key) => (key === "lr" ? "learningRate to be assigned" : "an option of adam or adamw"));

  const classOf = (kind: KindName) =>
    class extends Fused {
      static readonly className = kind;

      static override fromConfig<T extends serialization.Serializable>(
        Class: serialization.SerializableConstructor<T>,
        config: serialization.ConfigDict,
      ): T {
        const { settings, saved, schedule, decaySchedule } = readConfig(kind, config);
        const constant = "a schedule, which is code and is not saved: it is the constant";
        if (schedule) {
          const rate = `${settings.hyper.lr} until learningRate is assigned`;
          warnOnce(`a model was saved whose learning rate followed ${constant} ${rate}`);
        }
        if (decaySchedule) {
          warnOnce(`a model was saved whose weight decay followed ${constant} ${settings.hyper.weightDecay}`);
        }
        return new Class({ ...settings, rule: settings.rule ?? rules.get(tf.Optimizer) }, saved);
      }
    };
  const classes = { FusedAdam: classOf("FusedAdam"), FusedAdamW: classOf("FusedAdamW") };
  for (const Class of Object.values(classes)) tf.serialization.registerClass(Class);
  return (kind, options) => new classes[kind](readSettings(kind, options), NOTHING_SAVED);
}

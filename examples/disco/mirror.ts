/** A client's training a second time, on the core: the same gradients, and at the start of every round the average. */
import type { tf } from "@epfml/discojs-node";
import { AdamW } from "fused-adam";
import type { FusedOptimizer } from "fused-adam/tfjs";

export interface Hyper {
  readonly lr: number;
  readonly weightDecay: number;
  readonly clipNorm: number;
}

/** A model's weights in its own order. */
export type Values = readonly Float32Array[];

export class Mirror {
  /** Steps so far. */
  steps = 0;
  /** Rounds that an average began. */
  rounds = 0;
  /** Tensors that DISCO handed over as averages, and what they held then. */
  readonly averages: { readonly tensor: tf.Tensor; readonly values: Float32Array }[] = [];
  /** What was not as it should be. */
  readonly faults: string[] = [];
  readonly #core: AdamW;
  readonly #names: readonly string[];

  /** Watches every step of `optimizer`. All of the model's weights are trained. */
  constructor(
    readonly model: tf.LayersModel,
    readonly optimizer: FusedOptimizer,
    { clipNorm, ...hyper }: Hyper,
  ) {
    this.#names = model.trainableWeights.map(({ name }) => name);
    const weights = model.getWeights().map((tensor, i) => ({ name: this.#names[i]!, tensor }));
    const paramsOf = (list: typeof weights) =>
      Object.fromEntries(list.map(({ name, tensor }) => [name, { shape: tensor.shape, data: read(tensor) }]));
    const isMatrix = ({ tensor }: (typeof weights)[number]) => tensor.rank > 1;
    this.#core = AdamW.createSync(
      [
        { params: paramsOf(weights.filter(isMatrix)) },
        { params: paramsOf(weights.filter((weight) => !isMatrix(weight))), weightDecay: 0 },
      ],
      hyper,
    );

    const apply = optimizer.applyGradients.bind(optimizer);
    optimizer.applyGradients = (gradients) => {
      // Also where a round begins: the core has the average then, and the model what DISCO assigned.
      this.#compareParams(`before step ${this.steps + 1}`);
      const given = Array.isArray(gradients)
        ? gradients
        : Object.entries(gradients).map(([name, tensor]) => ({ name, tensor }));
      for (const { name, tensor } of given) this.#core.grad(name).set(read(tensor));
      apply(gradients);
      this.#core.step({ clipNorm });
      this.steps++;
      this.#compareParams(`after step ${this.steps}`);
    };
  }

  /**
   * A round ends: the next is to begin at this average.
   * @param handedOver DISCO's tensors, which it is about to assign to the model
   */
  endRound(average: Values, handedOver: readonly tf.Tensor[]): void {
    this.rounds++;
    for (const [i, name] of this.#names.entries()) {
      this.#core.param(name).set(average[i]!);
      const tensor = handedOver[i]!;
      this.averages.push({ tensor, values: read(tensor) });
    }
  }

  /** After the last round: parameters, moments, and the averages that were handed over. */
  async finish(): Promise<void> {
    this.#compareParams("at the end");
    const { state } = this.#core.stateDict();
    for (const { name, tensor } of await this.optimizer.getWeights()) {
      const [, of, moment] = /^(.*)\/([mv])$/.exec(name) ?? [];
      if (of === undefined) continue;
      this.#compare(`${name} at the end`, read(tensor), state[of]![moment === "m" ? "exp_avg" : "exp_avg_sq"]);
    }
    for (const [i, { tensor, values }] of this.averages.entries()) {
      this.#compare(`average ${i}, handed over by DISCO`, read(tensor), values);
    }
  }

  #compareParams(when: string): void {
    for (const [i, tensor] of this.model.getWeights().entries()) {
      const name = this.#names[i]!;
      this.#compare(`${name} ${when}`, read(tensor), this.#core.param(name));
    }
  }

  #compare(what: string, actual: Float32Array, expected: Float32Array): void {
    if (!bytesOf(actual).equals(bytesOf(expected))) this.faults.push(what);
  }
}

/** A copy of what a tensor holds. */
export function read(tensor: tf.Tensor): Float32Array {
  return Float32Array.from(tensor.dataSync());
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

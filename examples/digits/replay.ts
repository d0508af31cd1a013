import type { Adam, AdamOptions, AdamW } from "fused-adam";
import { SHAPES } from "../shared/model.js";

/*
 * How much decay does a weight receive, when every weight was asked to decay by the same λ?
 *
 * The gradients of w1 in a real run are replayed from the same starting weights, with decay and without. Recorded gradients do
 * not react to decay, so the difference is the effect of decay alone:
 *
 *     multiple = (p_without − p_with) / Σ α · λ · p_with
 *
 * The sum goes over the weight before each step. 1 means: decayed as asked.
 */

/** The weights after a replay, and the decay that was asked for: Σ α · λ · p. */
export interface Path {
  readonly end: ArrayLike<number>;
  readonly asked: Float64Array;
}

/** The multiple of each weight; 0/0 where no decay was asked for. */
export function multiples(without: ArrayLike<number>, { end, asked }: Path): Float64Array {
  return asked.map((sum, i) => (without[i]! - end[i]!) / sum);
}

/** An optimizer over w1 alone that is given its gradients. */
export class Replay implements Path {
  readonly asked: Float64Array;
  /** A live view. */
  readonly end: Float32Array;
  readonly #grad: Float32Array;

  constructor(readonly optimizer: Adam | AdamW) {
    this.end = optimizer.param("w1");
    this.#grad = optimizer.grad("w1");
    this.asked = new Float64Array(this.end.length);
  }

  static async create(rule: typeof Adam | typeof AdamW, start: Float32Array, options: AdamOptions): Promise<Replay> {
    return new Replay(await rule.create({ w1: { shape: SHAPES.w1, data: start } }, options));
  }

  /** @param rate the decay asked for: α · λ */
  step(gradient: Float32Array, rate: number): void {
    const { asked, end } = this;
    for (let i = 0; i < asked.length; i++) asked[i]! += rate * end[i]!;
    this.#grad.set(gradient);
    this.optimizer.step();
  }
}

import { createRng } from "../shared/rng.js";
import type { Task } from "./task.js";
import { type Size, shapesOf, Transformer } from "./transformer.js";

const LETTERS = 16;
/** The token between a word and its reverse. */
const TURN = LETTERS;
const WORD = 5;
const STRIDE = 2 * WORD + 1;
const COUNTS = { train: 2000, heldOut: 500 };
/** Words of each part that a loss is the mean of. */
const EVALUATED = 500;
const BATCH = 8;

const SIZE: Size = { tokens: LETTERS + 1, length: STRIDE - 1, from: WORD, width: 32, heads: 2, hidden: 64 };

/** Random words, each to be written backwards, letter by letter, by a transformer of one block. */
export function words(): Task {
  const rng = createRng(1);
  const text = new Uint8Array((COUNTS.train + COUNTS.heldOut) * STRIDE);
  for (let at = 0; at < text.length; at += STRIDE) {
    text[at + WORD] = TURN;
    for (let i = 0; i < WORD; i++) {
      text[at + i] = Math.floor(rng() * LETTERS);
      text[at + 2 * WORD - i] = text[at + i]!;
    }
  }
  const model = new Transformer(SIZE);
  return {
    steps: 1500,
    lr: 2e-3,
    start(seed) {
      const rng = createRng(seed);
      const shapes = Object.entries(shapesOf(SIZE));
      const initial = Object.fromEntries(
        shapes.map(([name, [rows, columns]]) => {
          const bound = Math.sqrt(3 / rows);
          return [name, Float32Array.from({ length: rows * columns }, () => bound * (2 * rng() - 1))];
        }),
      );
      return {
        initial,
        backward(params, grads) {
          for (let i = 0; i < BATCH; i++) {
            model.backward(params, grads, text, Math.floor(rng() * COUNTS.train) * STRIDE, 1 / BATCH);
          }
        },
        evaluate(params) {
          const mean = (from: number, count: number) => {
            let sum = 0;
            for (let i = from; i < from + count; i++) sum += model.forward(params, text, i * STRIDE);
            return sum / count;
          };
          return { train: mean(0, EVALUATED), heldOut: mean(COUNTS.train, EVALUATED) };
        },
      };
    },
  };
}

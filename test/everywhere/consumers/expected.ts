/** What every consumer must come to: the same training on the float32 reference. */
import { cosine } from "fused-adam/schedules";
import { Model } from "../../support/model.js";
import { digestOf, LENGTHS, OPTIONS, STEPS, values } from "./app/train.js";

export async function expectedDigest(): Promise<string> {
  const entries = Object.entries(LENGTHS);
  const params = Object.fromEntries(entries.map(([name, length], i) => [name, values(length, i)]));
  const model = new Model("adamw", params, { lr: cosine(OPTIONS.rate), weightDecay: OPTIONS.weightDecay });
  for (let step = 0; step < STEPS; step++) {
    for (const [i, [name, length]] of entries.entries()) model.at(name).grad.set(values(length, 10 * step + i + 2));
    model.step({ clipNorm: OPTIONS.clipNorm });
  }
  return digestOf(entries.map(([name]) => model.at(name).param));
}

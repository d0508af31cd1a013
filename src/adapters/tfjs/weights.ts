import { checkFinite } from "../../checks/arrays.js";
import { fail, failMismatch, failType, show } from "../../checks/errors.js";
import { checkArray, checkCount, isRecord, sameShape } from "../../checks/values.js";
import { type MomentName, momentsOf } from "../../memory/regions.js";
import type { Saved } from "./config.js";
import type { Settings } from "./settings.js";
import { Slot } from "./slot.js";
import { isTensor } from "./tensors.js";
import type { NamedTensor, Tensor, Tf } from "./types.js";

/** What tfjs and Keras call the moments: all first ones come first, then all second ones; the last only with amsgrad. */
const SUFFIXES: Readonly<Record<MomentName, string>> = { expAvg: "/m", expAvgSq: "/v", maxExpAvgSq: "/vhat" };

/** In the order of `tf.train.adam`: first moments, second moments; the tensors are the slots' own, as there. */
export function momentWeights(settings: Settings, slots: readonly Slot[]): NamedTensor[] {
  return momentsOf(settings.hyper).flatMap((moment, i) =>
    slots.map(({ name, moments }) => ({ name: name + SUFFIXES[moment.name], tensor: moments[i]! })),
  );
}

export interface Weights {
  readonly iterations: number;
  /** Makes slots, whose moments share the data of the weights until somebody writes to them. */
  slots(): Slot[];
}

/**
 * What `getWeights` returned here or on `tf.train.adam`, checked.
 *
 * @param saved what the config of a saved model says of variables: steps, where they are not the number of iterations
 * @throws TypeError, RangeError `ERR_STATE_MISMATCH`, `ERR_SHAPE_MISMATCH`, `ERR_NON_FINITE`
 */
export async function readWeights(
  tf: Tf,
  settings: Settings,
  saved: Saved,
  weights: readonly NamedTensor[],
): Promise<Weights> {
  const [iter, ...moments] = checkArray("weights", weights, "an array").map(checkWeight);
  if (iter === undefined || iter.tensor.size !== 1) {
    failMismatch("weights", "the number of iterations first", iter === undefined ? "nothing" : show(iter.name));
  }
  const iterations = checkCount(iter.name, (await iter.tensor.data())[0]);

  const regions = momentsOf(settings.hyper);
  const count = moments.length / regions.length;
  const largest = moments.some(({ name }) => name.endsWith(SUFFIXES.maxExpAvgSq));
  if (!Number.isInteger(count) || (moments.length > 0 && largest !== settings.hyper.amsgrad)) {
    const got = `${moments.length}${largest ? ", of amsgrad" : ""}`;
    failMismatch("weights", `${regions.length} moments of each variable (amsgrad: ${settings.hyper.amsgrad})`, got);
  }
  const entries = Array.from({ length: count }, (_, i) => regions.map((_, block) => moments[block * count + i]!));
  for (const entry of entries) {
    for (const [block, { name, tensor }] of entry.entries()) {
      const { shape } = entry[0]!.tensor;
      if (tensor.dtype !== "float32") fail(TypeError, "ERR_INVALID_TYPE", name, "float32", tensor.dtype);
      if (!sameShape(tensor.shape, shape)) {
        fail(RangeError, "ERR_SHAPE_MISMATCH", name, `shape [${shape}], as ${entry[0]!.name}`, `[${tensor.shape}]`);
      }
      checkFinite(name, await tensor.data<"float32">(), regions[block]!.signed);
    }
  }
  return {
    iterations,
    slots() {
      moments.forEach(checkWeight);
      return entries.map((entry) => {
        const name = entry[0]!.name.replace(/\/m$/, "");
        const own = iterations === saved.iterations ? saved.variables.get(name)?.step : undefined;
        const variables = entry.map(({ tensor }) => tf.variable(tensor, false));
        return new Slot(name, variables, own ?? iterations);
      });
    },
  };
}

function checkWeight(weight: unknown, i: number): { name: string; tensor: Tensor } {
  const { name, tensor } = isRecord(weight) ? (weight as Partial<NamedTensor>) : {};
  if (typeof name !== "string" || !isTensor(tensor)) failType(`weights[${i}]`, "{ name, tensor }", weight);
  if (tensor.isDisposed) fail(Error, "ERR_DISPOSED", name, "a tensor that is in use", "a disposed one");
  return { name, tensor };
}

/** Weights of the model, one for each hash of three letters. */
export const FEATURES = 1 << 17;

/** Hashes of every three letters in a row. */
export interface Example {
  readonly features: Uint32Array;
  readonly isGerman: boolean;
}

export function examplesOf(texts: Readonly<Record<"english" | "german", readonly string[]>>): Example[] {
  const example = (isGerman: boolean) => (text: string) => ({ features: trigrams(text.toLowerCase()), isGerman });
  return [...texts.english.map(example(false)), ...texts.german.map(example(true))];
}

/** FNV-1a of each trigram. */
function trigrams(text: string): Uint32Array {
  return Uint32Array.from({ length: text.length - 2 }, (_, i) => {
    let hash = 2166136261;
    for (const unit of [0, 1, 2]) hash = Math.imul(hash ^ text.charCodeAt(i + unit), 16777619);
    return (hash >>> 0) % FEATURES;
  });
}

/** Mean log loss. Adds its gradients to those of the weights and of the bias. */
export function lossAndGradients(
  examples: readonly Example[],
  weight: Float32Array,
  bias: Float32Array,
  weightGrad: Float32Array,
  biasGrad: Float32Array,
): number {
  let loss = 0;
  for (const { features, isGerman } of examples) {
    const probability = 1 / (1 + Math.exp(-logit(features, weight, bias)));
    const error = (probability - Number(isGerman)) / examples.length;
    for (const feature of features) weightGrad[feature]! += error;
    biasGrad[0]! += error;
    loss -= Math.log(isGerman ? probability : 1 - probability) / examples.length;
  }
  return loss;
}

/** Share of right answers. */
export function accuracy(examples: readonly Example[], weight: Float32Array, bias: Float32Array): number {
  const right = examples.filter(({ features, isGerman }) => logit(features, weight, bias) > 0 === isGerman);
  return right.length / examples.length;
}

function logit(features: Uint32Array, weight: Float32Array, bias: Float32Array): number {
  let sum = bias[0]!;
  for (const feature of features) sum += weight[feature]!;
  return sum;
}

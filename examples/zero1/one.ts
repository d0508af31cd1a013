/** The same training in one process, without MPI: what the ranks are compared with. */
import { AdamW } from "fused-adam";
import { SHAPES, type Tensors } from "../shared/model.js";
import { addGradient, epochOf, gradScaleOf, type Kind, loadData, NAMES, OPTIONS, startValues } from "./batches.js";

/** @returns the optimizer after so many epochs */
export function trainAlone(kind: Kind, epochs: number): AdamW {
  const { train } = loadData();
  const values = startValues();
  const optimizer = AdamW.createSync(
    Object.fromEntries(NAMES.map((name) => [name, { shape: SHAPES[name], data: values[name] }])),
    OPTIONS,
  );
  const views = (view: (name: string) => Float32Array) =>
    Object.fromEntries(NAMES.map((name) => [name, view(name)])) as Tensors;
  const params = views((name) => optimizer.param(name));
  const grads = views((name) => optimizer.grad(name));
  for (let epoch = 0; epoch < epochs; epoch++) {
    for (const parts of epochOf(train, epoch)) {
      for (const indices of parts) addGradient(params, grads, train, indices, kind);
      optimizer.step({ clipNorm: 1, gradScale: gradScaleOf(kind), zeroGrad: true });
    }
  }
  return optimizer;
}

// The optimizer that is saved in a process of its own, and compared in another.
import { AdamW } from "fused-adam";

export function trained(steps) {
  return train(AdamW.createSync({ w: { shape: [500, 500] }, b: { shape: [100] } }), steps);
}

export function train(optimizer, steps) {
  for (let step = 0; step < steps; step++) {
    for (const name of optimizer.names)
      optimizer.grad(name).forEach((_, i, grad) => {
        grad[i] = ((i * 7 + step * 3) % 17) - 8;
      });
    optimizer.step();
  }
  return optimizer;
}

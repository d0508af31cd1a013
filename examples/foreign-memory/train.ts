import { AdamW, type ParamPointers } from "fused-adam";
import { cosine } from "fused-adam/schedules";
import { type Library, pointersOf, put } from "./library.js";

/** Two spirals, one inside the other: 2 coordinates and a target of 1 or -1 for each point. */
export function spirals(points: number): { inputs: Float32Array; targets: Float32Array } {
  const inputs = new Float32Array(2 * points);
  const targets = new Float32Array(points);
  for (let i = 0; i < points; i++) {
    const side = i % 2 === 0 ? 1 : -1;
    const angle = 0.5 + (3 * Math.PI * i) / points;
    inputs.set([(side * angle * Math.cos(angle)) / 10, (side * angle * Math.sin(angle)) / 10], 2 * i);
    targets[i] = side;
  }
  return { inputs, targets };
}

export interface Task {
  readonly net: number;
  readonly pointers: Record<string, ParamPointers>;
  /** One pass forward and backward over all points. */
  lossAndGradients(): number;
  /** Share of points on the right side. */
  accuracy(): number;
}

/** The network, the points and the moments, all on the library's heap. */
export function createTask(lib: Library, points: number, seed: number): Task {
  const net = lib.net_create(put(lib, Uint32Array.of(2, 64, 64, 1)), 4, seed);
  const { inputs, targets } = spirals(points);
  const [x, y, answers] = [put(lib, inputs), put(lib, targets), put(lib, new Float32Array(points))];
  return {
    net,
    pointers: pointersOf(lib, net),
    lossAndGradients: () => lib.net_loss(net, x, y, points),
    accuracy() {
      lib.net_predict(net, x, answers, points);
      const right = new Float32Array(lib.memory.buffer, answers, points).filter(
        (answer, i) => answer * targets[i]! > 0,
      );
      return right.length / points;
    },
  };
}

/** An optimizer on the library's memory: weights decay, biases do not. */
export function createOptimizer(lib: Library, { pointers }: Task, steps: number): AdamW {
  const named = (prefix: string) =>
    Object.fromEntries(Object.entries(pointers).filter(([name]) => name.startsWith(prefix)));
  return AdamW.createSync([{ params: named("weight") }, { params: named("bias"), weightDecay: 0 }], {
    memory: lib.memory,
    lr: cosine({ lr: 0.01, steps }),
    weightDecay: 0.01,
  });
}

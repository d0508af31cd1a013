/** How optimizers are printed by `console.log` of Node, Deno and Bun. */
import type { Group } from "./group.js";
import { EXCLUSIVELY, Optimizer } from "./optimizer.js";

/** Name of the method that these ask for a view. */
export const INSPECT: unique symbol = Symbol.for("nodejs.util.inspect.custom");

/** What it is called with, third. */
export type Inspect = (value: object, options: object) => string;

function show({ tensors, regions, hyper }: Group): object {
  const stored = regions.map(({ name, storage }) => `${name} ${storage.dtype}`);
  return { tensors: tensors.length, elements: tensors.reduce((sum, { length }) => sum + length, 0), stored, ...hyper };
}

/** Has optimizers show their groups, what is stored how, threads and steps. Not in pages: their consoles ask for no method. */
export function inspectable(): void {
  Object.defineProperty(Optimizer.prototype, INSPECT, {
    configurable: true,
    value(this: Optimizer, _depth: number, options: object, inspect: Inspect): string {
      const { kernel, threads } = this;
      let state: object;
      try {
        state = { steps: this.steps, groups: this[EXCLUSIVELY]((groups) => groups.map(show)) };
      } catch (error) {
        // Busy or disposed.
        state = { groups: (error as { code: string }).code };
      }
      return `${this.constructor.name} ${inspect({ kernel, threads, ...state }, { ...options, depth: 4 })}`;
    },
  });
}

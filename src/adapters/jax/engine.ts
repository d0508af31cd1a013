import type { Device, Array as JaxArray, JsTreeDef } from "@jax-js/jax";
import type { StateDict } from "../../checks/types.js";
import type { MomentName } from "../../memory/regions.js";
import type { Group } from "../../optimizer/group.js";
import { Adam, AdamW, EXCLUSIVELY } from "../../optimizer/optimizer.js";
import { readGroupState } from "../../optimizer/stateDict.js";
import type { Tensor } from "../../optimizer/tensor.js";
import { type Flat, pathsOf } from "./leaves.js";
import type { Settings } from "./settings.js";
import { arraysOf, differences, read } from "./values.js";

/** What an engine is made for: the leaves of a tree, in order. */
export interface Leaf {
  readonly shape: number[];
  readonly device: Device;
}

/**
 * An optimizer over the leaves of a tree. Its moments stay in linear memory from step to step; parameters and gradients pass
 * through. Its states are numbered, and only the last is good: the moments of those before are gone.
 */
export class Engine {
  readonly def: JsTreeDef;
  readonly leaves: readonly Leaf[];
  /** Names of the leaves in state dicts: paths, so that the optimizer's errors say where. A lone leaf has no path. */
  readonly names: readonly string[];
  version = 0;

  readonly #optimizer: Adam | AdamW;
  readonly #tensors: readonly Tensor[];
  readonly #decays: readonly boolean[];
  /** By leaf, the array whose values its parameter region holds. */
  readonly #held: (JaxArray | undefined)[];

  constructor(
    readonly settings: Settings,
    { leaves, def }: Flat,
    decays: readonly boolean[],
  ) {
    this.def = def;
    this.leaves = leaves.map(({ shape, device }) => ({ shape, device }));
    this.names = pathsOf(def).map((path) => path.replace(/^\./, "") || "*");
    this.#decays = decays;
    this.#held = leaves.map(() => undefined);

    const { variant, hyper, kernel } = settings;
    const group = (decayed: boolean, weightDecay: number) => {
      const entries = leaves.map(({ shape }, i) => [this.names[i]!, { shape }] as const);
      return { params: Object.fromEntries(entries.filter((_, i) => decays[i] === decayed)), weightDecay };
    };
    const groups = [group(true, hyper.weightDecay), group(false, 0)];
    this.#optimizer = (variant.coupled ? Adam : AdamW).createSync(
      groups.filter(({ params }) => Object.keys(params).length > 0),
      { ...hyper, kernel },
    );
    const tensors = this.#alone((all) => all.flatMap((group) => group.tensors));
    const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
    this.#tensors = this.names.map((name) => byName.get(name)!);
  }

  /** Whether an update depends on the parameters. */
  get needsParams(): boolean {
    return this.#decays.includes(true);
  }

  /** One step: what each parameter changes by. */
  update(grads: Flat, params: Flat | undefined): JaxArray[] {
    const before = this.#alone(() => {
      this.#loadGrads(grads);
      return this.#tensors.map((tensor, i) => {
        this.#held[i] = undefined;
        const param = tensor.view("param");
        // The kernel takes the step off what is here, and -0 less the step is what to add, whatever the sign of a zero.
        if (!this.#decays[i]) param.fill(-0);
        const values = this.#decays[i] ? read(params!, i) : undefined;
        if (values !== undefined) param.set(values);
        return values;
      });
    });
    this.#advance();
    return arraysOf(grads.leaves, (i) => {
      const after = this.#tensors[i]!.view("param");
      return before[i] === undefined ? after : differences(before[i], after);
    });
  }

  /** One step: the new parameters. */
  step(grads: Flat, params: Flat): JaxArray[] {
    this.#alone(() => {
      this.#loadGrads(grads);
      params.leaves.forEach((leaf, i) => {
        if (this.#held[i] === leaf) return;
        this.#held[i] = undefined;
        this.#tensors[i]!.view("param").set(read(params, i));
      });
    });
    this.#advance();
    const after = arraysOf(params.leaves, (i) => this.#tensors[i]!.view("param"));
    after.forEach((array, i) => {
      this.#held[i] = array;
    });
    return after;
  }

  /** Steps taken so far. */
  get count(): number {
    return this.#tensors[0]!.step;
  }

  moments(moment: MomentName): JaxArray[] {
    return arraysOf(this.leaves, (i) => this.#tensors[i]!.view(moment));
  }

  /** Copies of the moments, by the names of the leaves. */
  state(): StateDict["state"] {
    return this.#optimizer.stateDict().state;
  }

  /** @throws TypeError, RangeError for values that no run could have led to */
  load(state: StateDict["state"]): void {
    this.#optimizer.loadStateDict({ state, param_groups: this.#alone((groups) => groups.map(readGroupState)) });
  }

  #loadGrads(grads: Flat): void {
    this.#tensors.forEach((tensor, i) => {
      tensor.view("grad").set(read(grads, i));
    });
  }

  #advance(): void {
    this.#optimizer.step(this.settings.step);
    this.version++;
  }

  /** Not while the optimizer steps: a schedule is the caller's code, and may call anything. */
  #alone<T>(run: (groups: readonly Group[]) => T): T {
    return this.#optimizer[EXCLUSIVELY](run);
  }
}

import type { Device, Array as JaxArray, JsTreeDef } from "@jax-js/jax";
import type { Hyper } from "../../checks/defaults.js";
import type { StateDict } from "../../checks/types.js";
import type { MomentName } from "../../memory/regions.js";
import type { Group } from "../../optimizer/group.js";
import { Adam, AdamW, EXCLUSIVELY } from "../../optimizer/optimizer.js";
import { readGroupState } from "../../optimizer/stateDict.js";
import type { Tensor } from "../../optimizer/tensor.js";
import { type Flat, pathsOf } from "./leaves.js";
import type { Settings } from "./settings.js";
import { arraysOf, differences, read } from "./values.js";

/** What an engine knows of a leaf of the tree that it was made for. */
export interface Leaf {
  readonly shape: number[];
  readonly device: Device;
}

/**
 * An optimizer over the leaves of a tree. Its moments stay in linear memory from step to step; parameters and gradients are copied
 * in and out. Its states are numbered, and only the latest can be used: the moments of earlier ones have been overwritten.
 */
export class Engine {
  readonly def: JsTreeDef;
  readonly leaves: readonly Leaf[];
  /** Names of the leaves in state dicts: their paths, which the optimizer's errors then show; "*" for a tree that is one leaf. */
  readonly names: readonly string[];
  version = 0;

  readonly #optimizer: Adam | AdamW;
  readonly #tensors: readonly Tensor[];
  readonly #decays: readonly boolean[];
  /** For each leaf the array whose values its parameter region has, if it is known. */
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
    const group = (decayed: boolean, weightDecay: Hyper["weightDecay"]) => {
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
        // The kernel subtracts the step: from -0, that leaves what has to be added, with the right sign where it is zero.
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

  /** @throws TypeError, RangeError as `loadStateDict` */
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

  /** Refuses while the optimizer steps: a schedule is the caller's code, and could call this. */
  #alone<T>(run: (groups: readonly Group[]) => T): T {
    return this.#optimizer[EXCLUSIVELY](run);
  }
}

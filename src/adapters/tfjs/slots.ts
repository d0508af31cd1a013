import { fail, show } from "../../checks/errors.js";
import { sameShape } from "../../checks/values.js";
import { momentsOf } from "../../memory/regions.js";
import type { Saved } from "./config.js";
import type { Rule, Settings } from "./settings.js";
import { Slot } from "./slot.js";
import { inUse } from "./tensors.js";
import type { Tf, Variable } from "./types.js";

/** The state of all variables, in the order in which they first appeared or were saved. */
export class Slots {
  readonly #all: Slot[];
  readonly #claimed = new Map<Variable, Slot>();
  /** Whether loaded slots go by name; undefined until the first variables show whether the names are the same. */
  #byName: boolean | undefined;
  readonly #loadedByName: ReadonlyMap<string, Slot>;
  #claims = 0;

  /**
   * @param saved what the config of a saved model says of variables
   * @param loaded state to be claimed by variables, as tfjs saves it
   */
  constructor(
    readonly tf: Tf,
    readonly settings: Settings,
    readonly saved: Saved,
    readonly loaded: readonly Slot[] = [],
  ) {
    this.#all = [...loaded];
    this.#loadedByName = new Map(loaded.map((slot) => [slot.name, slot]));
    for (const slot of loaded) slot.rule = saved.variables.get(slot.name);
  }

  /** Claimed or not. */
  get all(): readonly Slot[] {
    return this.#all;
  }

  /** By variable. */
  get claimed(): ReadonlyMap<Variable, Slot> {
    return this.#claimed;
  }

  /**
   * Gives every variable that has none a slot, a loaded one or one of zeros, and lets go of disposed variables.
   *
   * @returns whether there were any of either
   * @throws RangeError `ERR_SHAPE_MISMATCH` where a loaded slot has another shape; what a rule throws. Nothing has changed then.
   */
  admit(variables: readonly Variable[]): boolean {
    const gone = [...this.#claimed.keys()].filter((variable) => !inUse(this.tf, variable));
    const added = variables.filter((variable) => !this.#claimed.has(variable));
    if (gone.length + added.length === 0) return false;

    const byName = this.#byName ?? this.#sameNames(added);
    const plan = added.map((variable, i) => {
      const slot = this.#match(variable, i, byName);
      return { variable, slot, rule: this.#rule(variable, slot) };
    });
    if (added.length > 0) this.#byName = byName;
    for (const variable of gone) this.#drop(variable);
    for (const { slot, variable, rule } of plan) {
      const claimed = slot ?? this.#fresh(variable);
      Object.assign(claimed, { variable, rule, name: variable.name });
      this.#claimed.set(variable, claimed);
    }
    this.#claims += plan.length;
    return true;
  }

  dispose(): void {
    for (const slot of this.#all) slot.dispose(this.tf);
  }

  /**
   * Whether loaded slots go by name: if the variables that appear first, or the slots, are all among the others. Else they go by
   * position, as in tfjs, which renames the variables of a model that is loaded beside another.
   */
  #sameNames(variables: readonly Variable[]): boolean {
    const known = variables.filter(({ name }) => this.#loadedByName.has(name)).length;
    return known === Math.min(variables.length, this.#loadedByName.size);
  }

  /** The loaded slot that is the variable's, the i-th that appears. */
  #match(variable: Variable, i: number, byName: boolean): Slot | undefined {
    const slot = byName ? this.#loadedByName.get(variable.name) : this.loaded[this.#claims + i];
    if (slot === undefined || slot.variable !== undefined) return undefined;
    if (!sameShape(slot.shape, variable.shape)) {
      const expected = `shape [${variable.shape}] for ${show(variable.name)}`;
      fail(RangeError, "ERR_SHAPE_MISMATCH", slot.name, expected, `[${slot.shape}]`);
    }
    return slot;
  }

  #rule(variable: Variable, slot: Slot | undefined): Rule {
    const { rule } = this.settings;
    const saved = slot === undefined ? this.saved.variables.get(variable.name) : slot.rule;
    if (saved !== undefined) return saved;
    if (rule !== undefined) return rule(variable.name, variable.shape);
    const got = `${show(variable.name)}, which has no saved one`;
    fail(
      Error,
      "ERR_STATE_MISMATCH",
      "decay, lrFactor",
      "rules, which are code and not saved with a model: register(tf, { decay, lrFactor }) before loading",
      got,
    );
  }

  #fresh(variable: Variable): Slot {
    const moments = momentsOf(this.settings.hyper).map(() => {
      const zeros = this.tf.zeros(variable.shape);
      const moment = this.tf.variable(zeros, false);
      zeros.dispose();
      return moment;
    });
    const slot = new Slot(variable.name, moments);
    this.#all.push(slot);
    return slot;
  }

  #drop(variable: Variable): void {
    const slot = this.#claimed.get(variable)!;
    this.#claimed.delete(variable);
    this.#all.splice(this.#all.indexOf(slot), 1);
    slot.dispose(this.tf);
  }
}

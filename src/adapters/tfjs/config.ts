import { failType } from "../../checks/errors.js";
import { checkArray, checkBoolean, checkCount, checkNonNegative, checkObject, own } from "../../checks/values.js";
import { valueAt } from "../../optimizer/group.js";
import { type KindName, type Rule, readSettings, type Settings } from "./settings.js";
import type { Slot } from "./slot.js";

/** What a config says beside settings: what the rules said of each variable, and its steps after so many iterations. */
export interface Saved {
  readonly iterations: number;
  readonly variables: ReadonlyMap<string, Rule & { readonly step: number }>;
}

export const NOTHING_SAVED: Saved = { iterations: 0, variables: new Map() };

/** Own name of a setting, and its name in a config: where tfjs's Adam has one, that. */
const NAMES = {
  learningRate: "lr",
  epsilon: "eps",
  weightDecay: "weightDecay",
  amsgrad: "amsgrad",
  maximize: "maximize",
  biasCorrection: "biasCorrection",
  clipNorm: "clipNorm",
  gradScale: "gradScale",
  skipNonFinite: "skipNonFinite",
} as const;
/** tfjs-layers puts `customObjects` into every config that it reads. */
const KEYS = [
  ...Object.keys(NAMES),
  "beta1",
  "beta2",
  "schedule",
  "decaySchedule",
  "ownRules",
  "iterations",
  "variables",
  "customObjects",
];

/**
 * Settings as JSON, for `getConfig()`. A schedule is saved as its value, and rules as what they said of each variable: both
 * are code. Step counts of variables are there if they differ, for which tfjs's weights have no place.
 */
export function writeConfig(
  settings: Settings,
  learningRate: number,
  slots: readonly Slot[],
  iterations: number,
): Record<string, unknown> {
  const { hyper, step, ownRules } = settings;
  const [beta1, beta2] = hyper.betas;
  const last = slots.reduce((largest, slot) => Math.max(largest, slot.step), 1);
  const weightDecay = valueAt(hyper.weightDecay, "weightDecay", last);
  const values: Record<string, unknown> = { ...hyper, ...step, lr: learningRate, weightDecay };
  const named = Object.entries(NAMES).map(([name, key]) => [name, values[key]]);
  const told = ownRules || slots.some((slot) => slot.step !== iterations);
  const variables = slots.flatMap(({ name, step, rule }) =>
    rule === undefined ? [] : [{ name, step, decay: rule.decay, lrFactor: rule.lrFactor }],
  );
  const extra = {
    schedule: typeof hyper.lr === "function" ? true : undefined,
    decaySchedule: typeof hyper.weightDecay === "function" ? true : undefined,
    ownRules: ownRules ? true : undefined,
    ...(told && { iterations, variables }),
  };
  const all = [...named, ...Object.entries({ beta1, beta2, ...extra })];
  return Object.fromEntries(all.filter(([, value]) => value !== undefined));
}

export interface ReadConfig {
  readonly settings: Settings;
  readonly saved: Saved;
  /** Whether the learning rate was a schedule, and the weight decay. */
  readonly schedule: boolean;
  readonly decaySchedule: boolean;
}

/** The other way round. @throws TypeError, RangeError for what `getConfig` does not write */
export function readConfig(kind: KindName, config: unknown): ReadConfig {
  const object = checkObject("config", config, KEYS);
  // tfjs-layers makes null of what was undefined.
  const get = (key: string) => own(object, key) ?? undefined;
  const betas = [get("beta1"), get("beta2")];
  const options = Object.fromEntries(Object.entries(NAMES).map(([name, key]) => [key, get(name)]));
  const settings = readSettings(kind, { ...options, ...(betas.includes(undefined) ? {} : { betas }) });
  const ownRules = flag("ownRules", get("ownRules"));
  return {
    settings: ownRules ? { ...settings, ownRules, rule: undefined } : settings,
    saved: {
      iterations: checkCount("config.iterations", get("iterations") ?? 0),
      variables: new Map(checkArray("config.variables", get("variables") ?? [], "an array").map(readVariable)),
    },
    schedule: flag("schedule", get("schedule")),
    decaySchedule: flag("decaySchedule", get("decaySchedule")),
  };
}

function flag(label: string, value: unknown): boolean {
  return value !== undefined && checkBoolean(`config.${label}`, value);
}

function readVariable(entry: unknown, i: number) {
  const label = `config.variables[${i}]`;
  const object = checkObject(label, entry, ["name", "step", "decay", "lrFactor"]);
  const name = own(object, "name");
  if (typeof name !== "string") failType(`${label}.name`, "a string", name);
  const variable = {
    step: checkCount(`${label}.step`, own(object, "step")),
    decay: checkBoolean(`${label}.decay`, own(object, "decay")),
    lrFactor: checkNonNegative(`${label}.lrFactor`, own(object, "lrFactor")),
  };
  return [name, variable] as const;
}

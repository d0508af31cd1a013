import type { Hyper } from "../checks/defaults.js";
import type { Format } from "../checks/formats.js";

/** How a region stores its elements. */
export interface ElementStorage {
  /** Bytes per element. */
  readonly bytes: number;
  /** The element type in a safetensors file. */
  readonly dtype: string;
  /** What a view of the region is. */
  readonly View: Float32ArrayConstructor | Uint16ArrayConstructor;
}

export const STORAGES: { readonly [F in Format]: ElementStorage } = {
  float32: { bytes: 4, dtype: "F32", View: Float32Array },
  float16: { bytes: 2, dtype: "F16", View: Uint16Array },
  bfloat16: { bytes: 2, dtype: "BF16", View: Uint16Array },
};

export const FLOAT32 = STORAGES.float32;

/** Options of a group that decide which regions it has and how they are stored: fixed when the group is made. */
export type RegionOptions = Pick<Hyper, "amsgrad" | "moments" | "grads" | "copies">;

type FormatOf = (options: RegionOptions) => Format | undefined;
const float32: FormatOf = () => "float32";
const moments: FormatOf = (options) => options.moments;

/**
 * Every region that a parameter can have, in the order in which a group lays them out.
 *
 * - `key`: its name in a state dict; in a checkpoint it follows the parameter's name.
 * - `signed`: whether values may be negative.
 * - `owner`: who fills it. What is the caller's is never initialized; what is the optimizer's starts at zero.
 * - `format`: undefined where a group has no such region.
 */
export const REGIONS = [
  { name: "param", role: "param", key: undefined, signed: true, owner: "caller", format: float32 },
  {
    name: "grad",
    role: "grad",
    key: undefined,
    signed: true,
    owner: "caller",
    format: ({ grads }: RegionOptions) => grads,
  },
  { name: "expAvg", role: "moment", key: "exp_avg", signed: true, owner: "optimizer", format: moments },
  { name: "expAvgSq", role: "moment", key: "exp_avg_sq", signed: false, owner: "optimizer", format: moments },
  {
    name: "maxExpAvgSq",
    role: "moment",
    key: "max_exp_avg_sq",
    signed: false,
    owner: "optimizer",
    format: ({ amsgrad, moments }: RegionOptions) => (amsgrad ? moments : undefined),
  },
  {
    name: "copy",
    role: "copy",
    key: undefined,
    signed: true,
    owner: "optimizer",
    format: ({ copies }: RegionOptions) => copies,
  },
] as const;

type Row = (typeof REGIONS)[number];
type MomentRow = Extract<Row, { role: "moment" }>;
export type RegionName = Row["name"];
export type MomentName = MomentRow["name"];

/** A region as a group has it. */
export interface Region extends Omit<Row, "format"> {
  readonly format: Format;
  readonly storage: ElementStorage;
}

/** A region that is part of the optimizer's state. */
export interface Moment extends Region {
  readonly name: MomentName;
  readonly key: MomentRow["key"];
}

/** The regions of a group, in order. */
export function regionsOf(options: RegionOptions): readonly Region[] {
  return REGIONS.flatMap((row) => {
    const format = row.format(options);
    return format === undefined ? [] : { ...row, format, storage: STORAGES[format] };
  });
}

/** The regions of a group that are its state. */
export function momentsOf(options: RegionOptions): readonly Moment[] {
  return regionsOf(options).filter((region) => region.role === "moment") as readonly Moment[];
}

/** The keys of all moments, whatever the options. */
export const MOMENT_KEYS = REGIONS.flatMap(({ key }) => key ?? []);

type Names<Rows> = { readonly [I in keyof Rows]: Rows[I] extends { readonly name: infer Name } ? Name : never };
export const REGION_NAMES = REGIONS.map(({ name }) => name) as readonly RegionName[] as Names<typeof REGIONS>;

/** Byte offsets of one parameter's regions; NONE for a region that it does not have. */
export type Pointers = Readonly<Record<RegionName, number>>;

/** In place of an offset. A kernel is handed it only for a region that it does not use. */
export const NONE = -1;

export function pointersOf(offset: (name: RegionName) => number): Pointers {
  return Object.fromEntries(REGION_NAMES.map((name) => [name, offset(name)])) as Pointers;
}

import { allocate } from "../checkpoint/allocate.js";
import { checkFinite } from "../checks/arrays.js";
import { LOAD_DEFAULTS } from "../checks/defaults.js";
import { fail, showShape } from "../checks/errors.js";
import type { ParamState } from "../checks/types.js";
import { sameShape } from "../checks/values.js";
import { asFloat32 } from "../memory/bfloat16.js";
import { FLOAT32, STORAGES } from "../memory/regions.js";
import type { Group } from "../optimizer/group.js";
import { type CheckedState, checkNames, checkState } from "../optimizer/stateDict.js";
import type { Tensor } from "../optimizer/tensor.js";
import { BLOCK } from "./blocks.js";
import { invalid, keysOf } from "./format.js";
import { type Reading, readPiece } from "./read.js";
import { piecesOf, type ShardSet } from "./set.js";

/** Reads the rows that the optimizer owns, and checks them against it. */
export function* readShards(
  groups: readonly Group[],
  optimizer: ShardSet,
  model: ShardSet | undefined,
): Reading<CheckedState> {
  const { steps, groups: param_groups } = optimizer.common;
  const tensors = groups.flatMap((group) => group.tensors);
  checkNames(
    "steps",
    tensors.map(({ name }) => name),
    steps.keys(),
  );
  for (const { name, shape } of tensors) {
    const saved = optimizer.shares.get(name)!.shape;
    if (!sameShape(saved, shape))
      fail(RangeError, "ERR_SHAPE_MISMATCH", name, `shape ${showShape(shape)}`, showShape(saved));
  }
  const buffer = new Uint8Array(BLOCK);
  const keys = keysOf("optimizer", optimizer.common);
  const state: [string, ParamState][] = [];
  for (const tensor of tensors) {
    const entry: Record<string, unknown> = { step: steps.get(tensor.name)! };
    if (tensor.part.length > 0) entry.rows = tensor.part;
    for (const key of keys.get(tensor.name)!) entry[key.slice(1)] = yield* readRows(optimizer, tensor, key, buffer);
    state.push([tensor.name, entry as unknown as ParamState]);
  }
  const params: [Tensor, Float32Array][] = [];
  if (model !== undefined)
    for (const tensor of tensors) params.push([tensor, yield* readRows(model, tensor, "", buffer)]);
  for (const [{ name }, values] of params) checkFinite(name, values, true);

  // `fromEntries` does not assign: a parameter may be called "__proto__".
  const dict = { state: Object.fromEntries(state), param_groups: [...param_groups] };
  const { report, apply } = checkState(groups, dict, LOAD_DEFAULTS);
  return {
    report: { ...report, params: model !== undefined },
    apply() {
      apply();
      for (const [tensor, values] of params) tensor.view("param").set(values);
    },
  };
}

/** One of a tensor's regions, from whichever shards have its rows. */
function* readRows(
  set: ShardSet,
  { name, rows: [first, end], length }: Tensor,
  key: string,
  buffer: Uint8Array<ArrayBuffer>,
): Reading<Float32Array> {
  const tensor = name + key;
  const pieces = piecesOf(set, name, tensor, first, end);
  const dtype = pieces[0]?.dtype ?? FLOAT32.dtype;
  // The optimizer's own size: the shape is the same, and the shards have all of its rows.
  const storage = Object.values(STORAGES).find((storage) => storage.dtype === dtype)!;
  const bytes = allocate(tensor, length * storage.bytes);
  let at = 0;
  for (const piece of pieces) {
    if (piece.dtype !== dtype) invalid(tensor, `elements of type ${dtype} in all shards`, piece.dtype);
    const row = piece.bytes / (piece.end - piece.first);
    const from = row * Math.max(0, first - piece.first);
    const to = row * (Math.min(end, piece.end) - piece.first);
    yield* readPiece(piece, tensor, from, to, buffer, (block, offset) => bytes.set(block, at + offset));
    at += to - from;
  }
  return asFloat32(new storage.View(bytes.buffer));
}

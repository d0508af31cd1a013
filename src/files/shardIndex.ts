import { decodeUtf8 } from "../checkpoint/text.js";
import { quote, show } from "../checks/errors.js";
import { inFile } from "../checks/inFile.js";
import { isRecord, own } from "../checks/values.js";
import { entriesOf, FORMATS, heldRows, invalid, type Kind, rowsIn } from "../shards/format.js";
import type { ShardSet } from "../shards/set.js";
import { withFile } from "./readFile.js";
import { parseShardName, shardName } from "./shardNames.js";

/** What an index says, whose file names are safe to open. */
export interface Index {
  /** The checksum of each file's header. */
  readonly files: ReadonlyMap<string, string>;
  readonly weights: object;
  readonly size: unknown;
}

/**
 * The index of a save's shards of one kind, which is written when all of them are there: where it is, the save is complete. It has what
 * Hugging Face's readers look for, and each file's checksum. A part of a tensor stands under the tensor's name with its rows, "w[0:5]".
 */
function indexOf({ shards }: ShardSet, kind: Kind) {
  const weights: [string, string][] = [];
  const files: [string, string][] = [];
  let total_size = 0;
  for (const shard of shards) {
    const file = shardName(kind, shard.rank, shard.ranks);
    files.push([file, `xxh32:${shard.digits}`]);
    for (const { name, tensor, entry } of entriesOf(shard)) {
      const share = shard.shares.get(name)!;
      const [first, end] = heldRows(share);
      weights.push([end - first === rowsIn(share) ? tensor : `${tensor}[${first}:${end}]`, file]);
      total_size += entry.end - entry.start;
    }
  }
  return {
    metadata: { format: FORMATS[kind], total_size },
    weight_map: Object.fromEntries(weights),
    checksums: Object.fromEntries(files),
  };
}

export function writeIndex(set: ShardSet, kind: Kind): string {
  return `${JSON.stringify(indexOf(set, kind), undefined, 2)}\n`;
}

/** @throws (rejects with) Error `ERR_FILE`; RangeError `ERR_CHECKPOINT` naming what is wrong, and for file names that are no shard's */
export async function readIndex(path: string, kind: Kind): Promise<Index> {
  const bytes = await withFile(path, async (length, read) => {
    const bytes = new Uint8Array(length);
    await read(bytes, 0);
    return bytes;
  });
  return inFile(path, () => {
    const content = parseJson(bytes);
    const [metadata, weights, files] = ["metadata", "weight_map", "checksums"].map((key) => {
      const value = own(content, key);
      return isRecord(value) ? value : invalid(key, "an object", show(value));
    }) as [object, object, object];
    for (const name of [...Object.keys(files), ...Object.values(weights)]) {
      if (parseShardName(kind, name) !== undefined && Object.hasOwn(files, name as string)) continue;
      const got = typeof name === "string" ? quote(name) : show(name);
      invalid("file name", `a shard of this save, such as ${shardName(kind, 0, Object.keys(files).length || 1)}`, got);
    }
    return { files: new Map(Object.entries(files)), weights, size: own(metadata, "total_size") };
  });
}

function parseJson(bytes: Uint8Array): object {
  try {
    const content: unknown = JSON.parse(decodeUtf8(bytes));
    if (isRecord(content)) return content;
  } catch (cause) {
    if (!(cause instanceof SyntaxError || cause instanceof TypeError)) throw cause;
  }
  invalid("index", "a JSON object in UTF-8", "something else");
}

/** Other tools may have added to an index what is theirs. @throws RangeError `ERR_CHECKPOINT` for one that is not of these shards */
export function checkIndex(path: string, { files, weights, size }: Index, set: ShardSet, kind: Kind): void {
  const { metadata, weight_map, checksums } = indexOf(set, kind);
  for (const [file, checksum] of Object.entries(checksums)) {
    if (files.get(file) !== checksum) invalid(path, `the checksum ${checksum} of ${file}`, show(files.get(file)));
  }
  for (const [tensor, file] of Object.entries(weight_map)) {
    const got = own(weights, tensor);
    if (got !== file) invalid(path, `${quote(tensor)} in ${file}`, show(got));
  }
  for (const tensor of Object.keys(weights)) {
    if (!Object.hasOwn(weight_map, tensor)) invalid(path, "only tensors of its files", show(tensor));
  }
  if (size !== metadata.total_size) invalid(path, `a total_size of ${metadata.total_size}`, show(size));
}

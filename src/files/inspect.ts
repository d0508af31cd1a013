import { elementReader } from "../checkpoint/elements.js";
import { checksumOf, hashAround, isCheckpoint, readMetadata } from "../checkpoint/format.js";
import { type Header, parseHeader } from "../checkpoint/safetensors.js";
import { visible } from "../checks/errors.js";
import { inFile } from "../checks/inFile.js";
import { isShard } from "../shards/format.js";
import { inspectSave, inspectShard, isSave } from "./inspectSave.js";
import { readStart } from "./readCheckpoint.js";
import { type Read, withFile } from "./readFile.js";
import { columns, groupLines, type Inspection } from "./report.js";

/** Bytes that are read at a time. */
const CHUNK = 1 << 20;
/** Bytes of the largest element. */
const ALIGNMENT = 8;

/** Types of which a norm says something. */
const FLOATS = /^B?F/;

/**
 * Looks through any safetensors file, a megabyte at a time, or through the folder of a save of several processes.
 *
 * @throws (rejects with) Error `ERR_FILE`, RangeError `ERR_CHECKPOINT`, naming the path
 */
export async function inspect(path: string): Promise<Inspection> {
  if (await isSave(path)) return inspectSave(path);
  return withFile(path, async (length, read) => {
    const start = await readStart(path, length, read);
    const header = inFile(path, () => parseHeader(start, length));
    const about = isCheckpoint(header) ? inFile(path, () => aboutCheckpoint(header)) : aboutMetadata(header);
    const checksum = inFile(path, () => (isCheckpoint(header) ? checksumOf(header, start) : undefined));
    const hash = checksum && hashAround(checksum.at, start);
    const window = windowOn(length, read);
    const norms: string[] = [];
    for (const { dtype, start, end } of header.tensors.values()) {
      const floats = FLOATS.test(dtype) ? elementReader(dtype) : undefined;
      let sum = 0;
      for (let at = start; at < end; at += CHUNK) {
        const piece = await window(at, Math.min(CHUNK, end - at));
        hash?.update(piece);
        if (floats !== undefined) sum += sumOfSquares(floats(piece));
      }
      norms.push(floats === undefined ? "" : Math.sqrt(sum).toPrecision(6));
    }
    const computed = hash?.digest();
    const intact = checksum && checksum.digits === computed;
    const verdict =
      checksum === undefined
        ? "no checksum"
        : `checksum xxh32:${checksum.digits} ${intact ? "holds" : `does not hold: the content's is xxh32:${computed}`}`;
    const shard = isShard(header) ? await inspectShard(path, header) : undefined;
    const lines = [
      `${visible(path)}: ${length} bytes, ${header.tensors.size} tensors`,
      ...(shard?.lines ?? [verdict, ...about]),
      "",
      ...table(header, norms),
    ];
    return { text: lines.join("\n"), intact: shard?.intact ?? intact };
  });
}

/** Reads pieces that follow each other, however small they are, by a chunk at a time. A piece is valid until the next, and aligned. */
function windowOn(length: number, read: Read): (at: number, size: number) => Promise<Uint8Array<ArrayBuffer>> {
  const chunk = new Uint8Array(CHUNK);
  let [from, to] = [0, 0];
  return async (at, size) => {
    if (at + size > to) {
      [from, to] = [at, Math.min(at + CHUNK, length)];
      await read(chunk.subarray(0, to - from), from);
    }
    const piece = chunk.subarray(at - from, at - from + size);
    return piece.byteOffset % ALIGNMENT === 0 ? piece : piece.slice();
  };
}

function sumOfSquares(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]! ** 2;
  return sum;
}

function aboutCheckpoint(header: Header): string[] {
  const { steps, groups, kernel, metadata } = readMetadata(header);
  const hasParams = [...steps.keys()].some((name) => header.tensors.has(name));
  return [
    `fused-adam checkpoint, version ${visible(header.metadata.get("version")!)}, kernel ${kernel ?? "not recorded"}`,
    `parameters: ${hasParams ? "included" : "not included"}`,
    ...aboutMetadata({ metadata }),
    ...groupLines({ groups, steps }),
  ];
}

function aboutMetadata({ metadata }: Pick<Header, "metadata">): string[] {
  return [...metadata].map(([key, value]) => `${visible(key)}: ${visible(value)}`);
}

function table({ tensors }: Header, norms: readonly string[]): string[] {
  const rows = [["tensor", "type", "shape", "norm"]];
  for (const [name, { dtype, shape }] of tensors) {
    rows.push([visible(name), dtype, `[${shape.join(", ")}]`, norms[rows.length - 1]!]);
  }
  return columns(rows);
}

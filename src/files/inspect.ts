import { elementReader } from "../checkpoint/elements.js";
import { checksumOf, hashAround, isCheckpoint, readMetadata } from "../checkpoint/format.js";
import { type Header, headerEnd, PREFIX, parseHeader } from "../checkpoint/safetensors.js";
import { inFile } from "./fileErrors.js";
import { withFile } from "./readFile.js";

/** Bytes that are read at a time. */
const CHUNK = 1 << 20;

/** Types of which a norm says something. */
const FLOATS = /^B?F/;

/** A report on a safetensors file. */
export interface Inspection {
  readonly text: string;
  /** Whether the checksum is right; undefined if there is none. */
  readonly intact: boolean | undefined;
}

/**
 * Looks through any safetensors file, a megabyte at a time.
 *
 * @throws (rejects with) Error `ERR_FILE`, RangeError `ERR_CHECKPOINT`, naming the path
 */
export async function inspect(path: string): Promise<Inspection> {
  return withFile(path, async (length, read) => {
    const prefix = new Uint8Array(Math.min(PREFIX, length));
    await read(prefix, 0);
    const start = new Uint8Array(inFile(path, () => headerEnd(prefix, length)));
    await read(start, 0);
    const header = inFile(path, () => parseHeader(start, length));
    const checksum = inFile(path, () => (isCheckpoint(header) ? checksumOf(header, start) : undefined));
    const hash = checksum && hashAround(checksum.at, start);
    const chunk = new Uint8Array(CHUNK);
    const norms: string[] = [];
    for (const entry of header.tensors.values()) {
      const floats = FLOATS.test(entry.dtype) ? elementReader(entry.dtype) : undefined;
      let sum = 0;
      for (let at = entry.start; at < entry.end; at += CHUNK) {
        const piece = chunk.subarray(0, Math.min(CHUNK, entry.end - at));
        await read(piece, at);
        hash?.update(piece);
        if (floats !== undefined) for (const value of floats(piece)) sum += value * value;
      }
      norms.push(floats === undefined ? "" : Math.sqrt(sum).toPrecision(6));
    }
    const computed = hash?.digest();
    const intact = checksum && checksum.digits === computed;
    const about = isCheckpoint(header) ? inFile(path, () => aboutCheckpoint(header)) : aboutMetadata(header);
    const lines = [
      `${path}: ${length} bytes, ${header.tensors.size} tensors`,
      checksum === undefined
        ? "no checksum"
        : `checksum xxh32:${checksum.digits} ${intact ? "holds" : `does not hold: the content's is xxh32:${computed}`}`,
      ...about,
      "",
      ...table(header, norms),
    ];
    return { text: lines.join("\n"), intact };
  });
}

function aboutCheckpoint(header: Header): string[] {
  const { steps, groups, kernel } = readMetadata(header);
  const hasParams = [...steps.keys()].some((name) => header.tensors.has(name));
  return [
    `fused-adam checkpoint, version ${header.metadata.get("version")}, kernel ${kernel ?? "not recorded"}`,
    `parameters: ${hasParams ? "included" : "not included"}`,
    ...groups.flatMap(({ params = [], ...hyper }, i) => [
      "",
      `group ${i}: ${Object.entries(hyper)
        .map(([key, value]) => `${key} ${Array.isArray(value) ? value.join(" ") : value}`)
        .join(", ")}`,
      ...params.map((name) => `  ${visible(name)}: step ${steps.get(name) ?? "missing"}`),
    ]),
  ];
}

function aboutMetadata({ metadata }: Header): string[] {
  return [...metadata].map(([key, value]) => `${visible(key)}: ${visible(value)}`);
}

function table({ tensors }: Header, norms: readonly string[]): string[] {
  const rows = [["tensor", "type", "shape", "norm"]];
  for (const [name, { dtype, shape }] of tensors) rows.push([visible(name), dtype, `[${shape.join(", ")}]`, ""]);
  norms.forEach((norm, i) => {
    rows[i + 1]![3] = norm;
  });
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}

/** Text from a file, with every character escaped that could control a terminal. */
function visible(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

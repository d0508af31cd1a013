import type { CheckpointInfo } from "../checkpoint/format.js";
import { visible } from "../checks/errors.js";

/** What `inspect` has found. */
export interface Inspection {
  readonly text: string;
  /** Whether the checksums are right; undefined if there are none. */
  readonly intact: boolean | undefined;
}

/** Columns are padded up to this many characters; a longer cell, of which a file has as many as it wants, moves its own row only. */
const WIDEST = 100;

/** Rows of as many cells each, one under the other. */
export function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = new Array<number>(rows[0]!.length - 1).fill(0);
  for (const row of rows) {
    widths.forEach((width, i) => {
      const { length } = row[i]!;
      if (length > width && length <= WIDEST) widths[i] = length;
    });
  }
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}

/** Hyper-parameters and step counts. */
export function groupLines({ groups, steps }: Pick<CheckpointInfo, "groups" | "steps">): string[] {
  return groups.flatMap(({ params = [], ...hyper }, i) => [
    "",
    `group ${i}: ${Object.entries(hyper)
      .map(([key, value]) => `${key} ${Array.isArray(value) ? value.join(" ") : value}`)
      .join(", ")}`,
    ...params.map((name) => `  ${visible(name)}: step ${steps.get(name) ?? "missing"}`),
  ]);
}

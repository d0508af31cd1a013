/** Labelled examples whose inputs are mostly zero: what is not is listed row by row (compressed sparse rows). */
export interface Dataset {
  readonly inputs: number;
  readonly classes: number;
  /** Example i has the entries `starts[i]` up to `starts[i + 1]`. */
  readonly starts: Uint32Array;
  /** Which input an entry is. */
  readonly columns: Uint32Array;
  readonly values: Float32Array;
  readonly labels: Uint32Array;
}

export type Entry = readonly [column: number, value: number];

export function datasetOf(
  inputs: number,
  classes: number,
  examples: readonly { readonly entries: readonly Entry[]; readonly label: number }[],
): Dataset {
  const starts = new Uint32Array(examples.length + 1);
  for (const [i, { entries }] of examples.entries()) starts[i + 1] = starts[i]! + entries.length;
  const entries = examples.flatMap((example) => example.entries);
  return {
    inputs,
    classes,
    starts,
    columns: Uint32Array.from(entries, ([column]) => column),
    values: Float32Array.from(entries, ([, value]) => value),
    labels: Uint32Array.from(examples, ({ label }) => label),
  };
}

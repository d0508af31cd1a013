import { FORMATS, type Format, type MOMENT_FORMATS } from "../checks/formats.js";
import { FORMAT_SUFFIXES, gradFormatAt, momentFormatAt, rowAt, UPDATE_ROWS, type UpdateRow } from "./table.js";

/** An update kernel with its formats. */
export interface FormatRow extends UpdateRow {
  readonly grads: Format;
  readonly moments: (typeof MOMENT_FORMATS)[number];
}

/** Every update kernel that a module for formats of 16 bits has, by number. */
export const FORMAT_ROWS: readonly FormatRow[] = FORMAT_SUFFIXES.flatMap((suffix, i) =>
  UPDATE_ROWS.map((row, j): FormatRow => {
    const number = i * UPDATE_ROWS.length + j;
    const [grads, moments] = [gradFormatAt(number), momentFormatAt(number)];
    return {
      ...rowAt(number),
      name: row.name + suffix,
      grads: FORMATS[grads]!,
      moments: moments === 0 ? "float32" : "bfloat16",
    };
  }),
);

/** The names of the kernels that modules for formats of 16 bits export beside those of `kernelNames`. */
export function halfKernelNames(): string[] {
  const passes = ["sum_squares_float16", "sum_squares_bfloat16", "flush_bfloat16", "copy_float16", "copy_bfloat16"];
  return [...FORMAT_ROWS.slice(UPDATE_ROWS.length).map(({ name }) => name), ...passes];
}

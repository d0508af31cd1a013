import { parseArgs } from "node:util";
import { AdamW } from "fused-adam";
import { type Formats, type Width, widthOf } from "../shared/width.js";

export interface Options {
  /** Of every run. */
  readonly width: Width;
  /** Whether every rule is trained in float32 as well. */
  readonly compare: boolean;
}

/**
 * Reads `--moments`, `--grads` and `--compare`.
 *
 * @throws TypeError, RangeError what Node says of other options, and the package of its own
 */
export function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      moments: { type: "string", default: "float32" },
      grads: { type: "string", default: "float32" },
      compare: { type: "boolean", default: false },
    },
  });
  const { compare } = values;
  const formats = { moments: values.moments, grads: values.grads } as Formats;
  AdamW.createSync({ probe: { shape: [1] } }, formats).dispose();
  const width = widthOf(formats);
  if (compare && width === "float32") {
    throw new RangeError('"--compare": expected --moments or --grads of 16 bits beside it, got float32 alone');
  }
  return { width, compare };
}

import binaryen from "binaryen";

/** A module as text: one element for each of its types, imports, functions, …, in order, and for each custom section. */
export function partsOf(bytes: Uint8Array): string[] {
  const module = binaryen.readBinary(bytes);
  try {
    const [, body] = /^\(module\n(.*)\n\)\n$/s.exec(module.emitText())!;
    return body!.split(/\n(?= [(;])/);
  } finally {
    module.dispose();
  }
}

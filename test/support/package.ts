/** Where the package is that the tests import: built, or as it is in src/. */
import { dirname, resolve } from "node:path";
import type { Plugin } from "esbuild";
import { root } from "./root.js";

const SRC = resolve(root, "src/");

/**
 * The file that an import of the package, or of one of its internals, stands for: of dist/esm/ or of src/, in one run never of
 * both, because two copies do not share what they know. Undefined for all other imports.
 *
 * @param index what "fused-adam" itself is: in Node, by its condition, index.node
 */
export function resolvePackage(
  id: string,
  importer: string | undefined,
  from: "src" | "dist",
  index = "index",
): string | undefined {
  const name = nameOf(id, importer, index);
  if (name === undefined) return undefined;
  return `${root}${from === "src" ? `src/${name}.ts` : `dist/esm/${name}.js`}`.replaceAll("\\", "/");
}

/** The same for esbuild. */
export function onePackage(from: "src" | "dist"): Plugin {
  return {
    name: "one-package",
    setup({ onResolve }) {
      onResolve({ filter: /^fused-adam|\bsrc\// }, ({ path: id, importer }) => {
        const path = resolvePackage(id, importer, from);
        return path === undefined ? undefined : { path };
      });
    },
  };
}

/** Path in src/ without its ending. */
function nameOf(id: string, importer = "", index: string): string | undefined {
  const [, entry] = /^fused-adam(?:$|\/(\w+)$)/.exec(id) ?? [];
  if (id === "fused-adam" || entry !== undefined) return entry ?? index;
  const path = resolve(dirname(importer), id);
  const isInternal = /^\..*\.js$/.test(id) && path.startsWith(SRC) && !resolve(importer).startsWith(SRC);
  return isInternal ? path.slice(SRC.length + 1, -3) : undefined;
}

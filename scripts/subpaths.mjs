import { mkdirSync, writeFileSync } from "node:fs";

/**
 * The entry points among a package's `exports`: those that are code, without the package itself.
 *
 * @returns {[name: string, conditions: { import: { types: string, default: string }, require: { default: string } }][]}
 */
export function subpathsOf(exports) {
  return Object.entries(exports)
    .filter(([subpath, target]) => subpath !== "." && target.import !== undefined)
    .map(([subpath, target]) => [subpath.slice(2), target]);
}

/**
 * A folder for every entry point, with a package.json that says what `exports` says. Parcel, unless it is told otherwise, and
 * TypeScript with `moduleResolution: "node"` do not read `exports`, and look for "fused-adam/schedules" in the folder `schedules`.
 */
export function writeSubpaths(exports) {
  for (const [name, { import: esm, require: cjs }] of subpathsOf(exports)) {
    // One set of types for all formats, as the package itself has: a class of one set does not fit the other's.
    const targets = { main: cjs.default, module: esm.default, types: esm.types };
    const manifest = Object.fromEntries(Object.entries(targets).map(([key, path]) => [key, `.${path}`]));
    mkdirSync(name, { recursive: true });
    writeFileSync(`${name}/package.json`, `${JSON.stringify(manifest)}\n`);
  }
}

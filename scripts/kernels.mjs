// What is made of the kernel table, src/kernels/table.ts: the modules' exports, and the code that calls them.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { buildSync } from "esbuild";

/** The table of the tree at `root`. @throws Error where it cannot be what the hand-written parts stand for */
export async function readTable(root) {
  const { outputFiles } = buildSync({
    stdin: { contents: `export * from "./table.ts"; export * from "./op.ts";`, resolveDir: join(root, "src/kernels") },
    bundle: true,
    format: "esm",
    write: false,
  });
  const table = await import(`data:text/javascript,${encodeURIComponent(outputFiles[0].text)}`);
  check(table, (file) => readFileSync(join(root, file), "utf8"));
  return table;
}

/**
 * The lists of parameters that stand in hand-written code are those of the table, in its order; ops have room for its rows, and
 * names are names of functions, each of one kernel.
 */
export function check({ ADDRESSES, CONSTANTS, UPDATE_ROWS, kernelNames, MOST_ROWS }, read) {
  if (UPDATE_ROWS.length > MOST_ROWS) fail("UPDATE_ROWS", `at most ${MOST_ROWS} rows`, UPDATE_ROWS.length);
  const all = kernelNames();
  const twice = all.find((name, i) => all.indexOf(name) !== i);
  if (twice !== undefined) fail("kernelNames", "every name once", `${twice} twice`);
  const odd = all.find((name) => !/^[a-z]\w*$/.test(name));
  if (odd !== undefined) fail("kernelNames", "names of functions", odd);

  const signature = [...ADDRESSES, "length", ...CONSTANTS].join(", ");
  for (const [file, name] of [
    ["assembly/sweep.ts", "sweep"],
    ["src/kernels/scalar.ts", "update"],
  ]) {
    const list = new RegExp(`function ${name}\\(([^)]*)\\)`).exec(read(file))?.[1] ?? "";
    const names = list.split(",").map((parameter) => parameter.split(":")[0].trim());
    const got = names.filter(Boolean).slice(names.indexOf(ADDRESSES[0])).join(", ");
    if (got !== signature) fail(`${file}: ${name}`, `the parameters ${signature}`, got);
  }
}

function fail(label, expected, got) {
  throw new Error(`${JSON.stringify(label)}: expected ${expected}, got ${got}`);
}

/** The AssemblyScript whose exports a module has. `assembly`: the folder, seen from where this file lies. */
export function exportsOf({ ADDRESSES, CONSTANTS, UPDATE_ROWS, PASSES }, assembly) {
  const names = [...ADDRESSES, "length", ...CONSTANTS];
  const parameters = [...ADDRESSES.map(usize), usize("length"), ...CONSTANTS.map((name) => `${name}: f32`)];
  const updates = UPDATE_ROWS.map(({ name, decay, amsgrad, gradient }) => {
    const literals = [decay === "decoupled", amsgrad, `GradientUse.${gradient[0].toUpperCase()}${gradient.slice(1)}`];
    return `export function ${name}(${parameters.join(", ")}): void {
  sweep(${[...literals, ...names].join(", ")});
}\n`;
  });
  return `// Made by scripts/kernels.mjs of src/kernels/table.ts.
import { GradientUse } from "${assembly}/adam";
import { sweep } from "${assembly}/sweep";

${Object.values(PASSES)
  .map(({ name, file }) => `export { ${name} } from "${assembly}/${file}";\n`)
  .join("")}
/** Whether multiply-adds may be fused. */
export function is_relaxed(): bool {
  return ASC_FEATURE_RELAXED_SIMD;
}

${updates.join("\n")}`;
}

/**
 * A module whose source map is a part of it, and so is found wherever the module is loaded from.
 *
 * @param module ends with a section that names a file with the map
 */
export function withSourceMap(module, map) {
  const name = "sourceMappingURL";
  const start = module.lastIndexOf(name) - 3;
  const url = `data:application/json;base64,${map.toString("base64")}`;
  const payload = Buffer.concat([name, url].flatMap((text) => [leb128(text.length), Buffer.from(text)]));
  return Buffer.concat([module.subarray(0, start), leb128(0), leb128(payload.length), payload]);
}

/** How WebAssembly writes a number: seven bits a byte, the lowest first. */
function leb128(value) {
  const bytes = [];
  for (; value > 127; value >>>= 7) bytes.push((value & 127) | 128);
  return Buffer.from([...bytes, value]);
}

function usize(name) {
  return `${name}: usize`;
}

/**
 * What the calling code needs of the lists: positions as constants, which a minifier puts in their place, addresses into words, and a
 * call from words and constants, without an array on the way. Files of src/generated/ by name.
 */
export function callingCode({ ADDRESSES, CONSTANTS }) {
  const positions = (names) => names.map((name, i) => `export const ${name} = ${i};\n`).join("");
  const at = (array, first, i) => `${array}[${first} + ${i}]!`;
  const args = [
    ...ADDRESSES.map((_, i) => `${at("words", "first", i)} + offset`),
    "length",
    ...CONSTANTS.map((_, i) => at("floats", "firstConstant", i)),
  ];
  const call = `export const ADDRESS_COUNT = ${ADDRESSES.length};
export const CONSTANT_COUNT = ${CONSTANTS.length};

/** Writes addresses into words from \`first\` on, and constants into floats from \`firstConstant\` on. */
export function writeUpdate(
  words: Uint32Array, first: number, addresses: { ${ADDRESSES.map((name) => `readonly ${name}: number`).join("; ")} },
  floats: Float32Array, firstConstant: number, constants: Float32Array,
): void {
${ADDRESSES.map((name, i) => `  words[first + ${i}] = addresses.${name};\n`).join("")}${CONSTANTS.map((_, i) => `  floats[firstConstant + ${i}] = constants[${i}]!;\n`).join("")}}

/** Calls \`update\` with what was written so, for elements \`offset\` bytes behind the addresses. */
export function callUpdate(
  update: (...args: number[]) => void,
  words: Uint32Array, first: number, offset: number, length: number, floats: Float32Array, firstConstant: number,
): void {
  update(
${args.map((arg) => `    ${arg},\n`).join("")}  );
}
`;
  return { addresses: positions(ADDRESSES), constants: positions(CONSTANTS), call };
}

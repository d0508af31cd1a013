// What is made of the kernel table, src/kernels/table.ts: the modules' exports, and the code that calls them.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { buildSync } from "esbuild";

/** The table of the tree at `root`. @throws Error where it cannot be what the hand-written parts stand for */
export async function readTable(root) {
  const { outputFiles } = buildSync({
    stdin: {
      contents: `export * from "./table.ts"; export * from "./rows.ts"; export * from "./moduleTable.ts"; export { REGIONS } from "../memory/regions.ts"; export { FORMATS } from "../checks/formats.ts"; export * from "./op.ts";`,
      resolveDir: join(root, "src/kernels"),
    },
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
export function check({ ADDRESSES, CONSTANTS, INTEGERS, FORMAT_ROWS, kernelNames, halfKernelNames, MOST_ROWS }, read) {
  if (FORMAT_ROWS.length > MOST_ROWS) fail("FORMAT_ROWS", `at most ${MOST_ROWS} rows`, FORMAT_ROWS.length);
  const all = [...kernelNames(), ...halfKernelNames()];
  const twice = all.find((name, i) => all.indexOf(name) !== i);
  if (twice !== undefined) fail("kernelNames", "every name once", `${twice} twice`);
  const odd = all.find((name) => !/^[a-z]\w*$/.test(name));
  if (odd !== undefined) fail("kernelNames", "names of functions", odd);

  const ofFloat32 = [...ADDRESSES, "length", ...CONSTANTS];
  for (const [file, name, parameters] of [
    ["assembly/sweep.ts", "sweep", [...ofFloat32, ...INTEGERS]],
    ["src/kernels/scalar.ts", "update", ofFloat32],
  ]) {
    const signature = parameters.join(", ");
    const list = new RegExp(`function ${name}\\(([^)]*)\\)`).exec(read(file))?.[1] ?? "";
    const names = list.split(",").map((parameter) => parameter.split(":")[0].trim());
    const got = names.filter(Boolean).slice(names.indexOf(ADDRESSES[0])).join(", ");
    if (got !== signature) fail(`${file}: ${name}`, `the parameters ${signature}`, got);
  }
}

function fail(label, expected, got) {
  throw new Error(`${JSON.stringify(label)}: expected ${expected}, got ${got}`);
}

/**
 * The AssemblyScript whose exports a module has.
 *
 * @param half whether it knows formats of 16 bits
 * @param assembly the folder, seen from where this file lies
 */
export function exportsOf(
  { ADDRESSES, CONSTANTS, INTEGERS, UPDATE_ROWS, FORMAT_ROWS, FORMATS, PASSES, kernelNames, halfKernelNames },
  half,
  assembly,
) {
  const capital = (word) => word[0].toUpperCase() + word.slice(1);
  const format = (word) => `Format.${capital(word)}`;
  const names = [...ADDRESSES, "length", ...CONSTANTS];
  const parameters = [
    ...[...ADDRESSES, "length"].map((name) => `${name}: usize`),
    ...CONSTANTS.map((name) => `${name}: f32`),
    ...(half ? INTEGERS.map((name) => `${name}: i32`) : []),
  ];
  const kernels = [...kernelNames(), ...(half ? halfKernelNames() : [])];
  const updates = FORMAT_ROWS.slice(0, half ? undefined : UPDATE_ROWS.length).map((row, i) => {
    const { name, decay, amsgrad, gradient, grads, moments } = row;
    const isFloat32 = grads === "float32" && moments === "float32";
    if (gradient === "plain" && !isFloat32) {
      // The factor is 1, and to multiply by it changes no bit: one function for both.
      const scaled = FORMAT_ROWS[i + 1];
      return `export { ${scaled.name} as ${name} };\n`;
    }
    const literals = [
      decay === "decoupled",
      amsgrad,
      `GradientUse.${capital(gradient)}`,
      format(grads),
      format(moments),
    ];
    // Where there are no copies, literals leave nothing of them.
    const integers = half ? INTEGERS : [0, 0, format("float32")];
    return `export function ${name}(${parameters.join(", ")}): void {
  sweep(${[...literals, ...names, ...integers].join(", ")});
}\n`;
  });
  const passes = Object.values(PASSES).map((name) => {
    const file = name === PASSES.sumSquares ? "reduce" : name;
    const [result, parameters] = SIGNATURES[name];
    const exported = FORMATS.flatMap((word) => {
      const kernel = word === "float32" ? name : `${name}_${word}`;
      if (!kernels.includes(kernel)) return [];
      return `export function ${kernel}(${parameters.map((name) => `${name}: usize`).join(", ")}): ${result} {
  return _${name}(${[format(word), ...parameters].join(", ")});
}\n`;
    });
    return exported.length > 0
      ? `import { ${name} as _${name} } from "${assembly}/${file}";\n${exported.join("")}`
      : "";
  });
  return `// Made by scripts/kernels.mjs of src/kernels/table.ts.
import { GradientUse } from "${assembly}/adam";
import { Format } from "${assembly}/storage";
import { sweep } from "${assembly}/sweep";

${passes.join("")}
/** Whether multiply-adds may be fused. */
export function is_relaxed(): bool {
  return ASC_FEATURE_RELAXED_SIMD;
}

${updates.join("\n")}`;
}

/** What the passes return, and what they take. */
const SIGNATURES = {
  sum_squares: ["f64", ["grad", "length"]],
  flush: ["void", ["values", "length"]],
  copy: ["void", ["params", "copies", "length"]],
};

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

/**
 * What the calling code needs of the lists: positions as constants, which a minifier puts in their place, addresses into words, and a
 * call from words and constants, without an array on the way. Files of src/generated/ by name.
 */
export function callingCode({ ADDRESSES, REGIONS, CONSTANTS, INTEGERS }) {
  const positions = (names) => names.map((name, i) => `export const ${name} = ${i};\n`).join("");
  const at = (array, first, i) => `${array}[${first} + ${i}]!`;
  const bytes = { param: "4", grad: "gradBytes", moment: "momentBytes" };
  const address = (i) => `${at("words", "first", i)} + ${bytes[REGIONS[i].role]} * from`;
  const integer = (i) => at("words", "firstConstant", CONSTANTS.length + i);
  const args = (address) => [
    ...ADDRESSES.map((_, i) => address(i)),
    "length",
    ...CONSTANTS.map((_, i) => at("floats", "firstConstant", i)),
  ];
  const plain = args((i) => `${at("words", "first", i)} + 4 * from`);
  const half = [
    ...args(address),
    ...INTEGERS.map((name, i) => (name === "copy" ? `${integer(i)} + 2 * from` : integer(i))),
  ];
  const lines = [
    ...ADDRESSES.map((name, i) => `words[first + ${i}] = addresses.${name};`),
    ...CONSTANTS.map((_, i) => `floats[firstConstant + ${i}] = constants[${i}]!;`),
  ];
  const call = `export const ADDRESS_COUNT = ${ADDRESSES.length};
export const CONSTANT_COUNT = ${CONSTANTS.length};
export const INTEGER_COUNT = ${INTEGERS.length};

/** Writes addresses into words from \`first\` on, constants into floats from \`firstConstant\` on. */
export function writeUpdate(
  words: Uint32Array, first: number, addresses: { ${ADDRESSES.map((name) => `readonly ${name}: number`).join("; ")} },
  floats: Float32Array, firstConstant: number, constants: Float32Array,
): void {
${lines.map((line) => `  ${line}\n`).join("")}}

/** Calls \`update\` with what was written so, for the elements from \`from\` on. */
export function callUpdate(
  update: (...args: number[]) => void,
  words: Uint32Array, first: number, from: number, length: number, floats: Float32Array, firstConstant: number,
): void {
  update(
${plain.map((arg) => `    ${arg},\n`).join("")}  );
}

/** The same with the integers, which lie behind the constants, and elements of other sizes. */
export function callHalf(
  update: (...args: number[]) => void,
  words: Uint32Array, first: number, from: number, length: number, floats: Float32Array, firstConstant: number,
  gradBytes: number, momentBytes: number,
): void {
  update(
${half.map((arg) => `    ${arg},\n`).join("")}  );
}
`;
  return { addresses: positions(ADDRESSES), constants: positions(CONSTANTS), call };
}

import type { Tensor, TensorInfo, Tf } from "../../types.js";
import { type DeviceBackend, DevicePlacement, vectors, type Work } from "./device.js";
import type { Plan } from "./plan.js";
import { type Kernel, update } from "./shaders.js";
import { type Quantity, sliceOf, type Variant } from "./terms.js";

/** A custom kernel, as TensorFlow.js's guide has them. */
interface Program {
  readonly variableNames: readonly string[];
  readonly outputShape: readonly number[];
  readonly userCode: string;
  readonly packedInputs: true;
  readonly packedOutput: true;
  readonly customUniforms: readonly [{ readonly name: "which"; readonly type: "int" }];
}

interface WebGlBackend extends DeviceBackend {
  readonly gpgpu: { readonly gl: object };
  runWebGLProgram(
    program: Program,
    inputs: readonly TensorInfo[],
    dtype: "float32",
    uniforms: readonly [readonly [which: number]],
    staysPacked: true,
  ): TensorInfo;
}

/** Whether a backend is tfjs's on WebGL 2, with textures that hold float32. */
export function isWebGl(tf: Tf, backend: object): backend is WebGlBackend {
  const { gpgpu, runWebGLProgram } = backend as Partial<WebGlBackend>;
  if (gpgpu?.gl === undefined || typeof runWebGLProgram !== "function") return false;
  return tf.env().getNumber("WEBGL_VERSION") === 2 && tf.env().getBool("WEBGL_RENDER_FLOAT32_ENABLED");
}

const PRELUDE = `
float bad(float x) {
  uint bits = floatBitsToUint(x) & 0x7fffffffu;
  return bits > 0x7f800000u ? 2.0 : bits == 0x7f800000u ? 1.0 : 0.0;
}
vec4 larger(vec4 a, vec4 b) { return mix(mix(max(a, b), b, isnan(b)), a, isnan(a)); }
vec4 flushed(vec4 a, float least) { return mix(a, vec4(0.0), lessThan(abs(a), vec4(least))); }`;

const vectorReader = (name: string) => `
vec4 ${name}(int i) { return getIn${name}(2 * i, 0); }`;
/** Of a packed vector of tfjs's. */
const elementReader = (name: string) => `
float ${name}(int i) { return i % 2 == 0 ? getIn${name}(i).x : getIn${name}(i).y; }`;

/**
 * Textures packed as tfjs's own kernels pack them, two rows by two columns in a texel. A pass writes one texture, so each of
 * parameter and moments has a pass of its own, from the values before the step.
 */
export class WebGlPlacement extends DevicePlacement {
  declare readonly backend: WebGlBackend;
  readonly #programs = new Map<string, Program>();

  protected override compute(
    { inputs: names, code }: Kernel,
    inputs: readonly TensorInfo[],
    count: number,
  ): TensorInfo {
    const sizes = inputs.map(({ shape }) => shape.reduce((a, b) => a * b, 1));
    const program = this.#program(names, `${code} ${sizes} ${count}`, vectors(count), () => {
      const readers = names.map((name, i) => {
        const [reader, size] = name === "G" ? [elementReader, sizes[i]!] : [vectorReader, sizes[i]! / 4];
        return `${reader(name)}\nint sizeOf${name}() { return ${size}; }`;
      });
      return `${readers.join("")}
int count() { return ${count}; }
${code}
void main() { setOutput(result(getOutputCoords().x / 2)); }`;
    });
    return this.#run(
      program,
      inputs.map((input, i) => (names[i] === "G" ? { ...infoOf(input), shape: [sizes[i]!] } : input)),
    );
  }

  protected override update(work: readonly Work[], { classes }: Plan, decision: readonly TensorInfo[]): void {
    const { amsgrad } = this.settings.hyper;
    const results = work.flatMap(({ slot, gradient, class: which }) => {
      const variant = { coupled: classes[which]!.coupled, amsgrad };
      const [m, v, x] = slot.moments;
      const all = { p: slot.variable!, m: m!, v: v!, x: x!, g: gradient };
      const targets: readonly Exclude<Quantity, "g">[] = amsgrad ? ["p", "m", "v", "x"] : ["p", "m", "v"];
      return targets.map((target) => {
        const { from } = sliceOf(target, variant);
        const inputs = from.map((quantity) => infoOf(all[quantity]));
        const program = this.#update(target, variant, from, gradient.shape, decision.length > 1);
        return [all[target], this.#run(program, [...inputs, ...decision], which)] as const;
      });
    });
    for (const [variable, result] of results) variable.assign(this.tf.engine().makeTensorFromTensorInfo(result));
  }

  protected override readNow({ dataId }: TensorInfo): Float32Array {
    return this.backend.readSync(dataId) as Float32Array;
  }

  #update(
    target: Quantity,
    variant: Variant,
    from: readonly Quantity[],
    shape: readonly number[],
    decided: boolean,
  ): Program {
    const decision = decided ? ["D", "U"] : ["U"];
    const names = [...from.map((quantity) => quantity.toUpperCase()), ...decision];
    return this.#program(names, `${target} ${variant.coupled} ${shape}`, shape, () => {
      const { head, constants, body } = update("which", decided, variant, target);
      return `${decision.map(vectorReader).join("")}${head}
void main() {
${constants}
${from.map((quantity) => `vec4 ${quantity} = getIn${quantity.toUpperCase()}AtOutCoords();`).join("\n")}
vec4 old = ${target};
${body}
${decided ? `if (d(3) > 0.0) { ${target} = old; }` : ""}
setOutput(mix(vec4(0.0), ${target}, ${inside(shape)}));
}`;
    });
  }

  #program(names: readonly string[], key: string, outputShape: readonly number[], code: () => string): Program {
    const program = this.#programs.get(key) ?? {
      variableNames: names.map((name) => `in${name}`),
      outputShape,
      userCode: PRELUDE + code(),
      packedInputs: true,
      packedOutput: true,
      customUniforms: [{ name: "which", type: "int" }],
    };
    this.#programs.set(key, program);
    return program;
  }

  #run(program: Program, inputs: readonly TensorInfo[], which = 0): TensorInfo {
    return this.backend.runWebGLProgram(program, inputs, "float32", [[which]], true);
  }
}

function infoOf({ dataId, shape }: TensorInfo | Tensor): TensorInfo {
  return { dataId, shape, dtype: "float32" };
}

/** Which of a texel's elements are inside the tensor. The others have to be zero: tfjs's kernels compute with them. */
function inside(shape: readonly number[]): string {
  const rank = shape.length;
  const within = (dimension: number) =>
    dimension < 0
      ? "false"
      : `getOutputCoords()${rank === 1 ? "" : `.${"xyzwuv"[dimension]}`} + 1 < ${shape[dimension]}`;
  const [row, column] = [within(rank - 2), within(rank - 1)];
  return `bvec4(true, ${column}, ${row}, ${row} && ${column})`;
}

import { fail } from "../../../../checks/errors.js";
import type { Tensor, TensorInfo, Variable } from "../../types.js";
import { type DeviceBackend, DevicePlacement, vectors, type Work } from "./device.js";
import type { Plan } from "./plan.js";
import { type Kernel, toWgsl, update } from "./shaders.js";
import { type GpuData, watch } from "./watch.js";

/** What is used of WebGPU. */
interface Binding {
  readonly buffer: object;
  readonly size?: number;
}
interface Pipeline {
  getBindGroupLayout(group: number): object;
}
interface Pass {
  setPipeline(pipeline: Pipeline): void;
  setBindGroup(group: number, bindings: object): void;
  dispatchWorkgroups(x: number): void;
  end(): void;
}
interface GpuDevice {
  createShaderModule(descriptor: { code: string }): object;
  createComputePipeline(descriptor: { layout: "auto"; compute: { module: object } }): Pipeline;
  createBindGroup(descriptor: { layout: object; entries: { binding: number; resource: Binding }[] }): object;
}

interface WebGpuBackend extends DeviceBackend {
  readonly device: GpuDevice;
  readonly tensorMap: { get(dataId: object): GpuData & { readonly external?: boolean; readonly resource: object } };
  readonly commandEncoder: { beginComputePass(): Pass };
  uploadToGPU(dataId: object): void;
  readToGPU(dataId: object): { readonly tensorRef: Tensor };
  ensureCommandEncoderReady(): void;
  endComputePassEncoder(): void;
  submitQueue(): void;
}

const HOOKS = [
  "device",
  "tensorMap",
  "uploadToGPU",
  "readToGPU",
  "ensureCommandEncoderReady",
  "endComputePassEncoder",
  "submitQueue",
] as const;

/** Whether a backend is tfjs's on WebGPU, with everything that a step uses of it. */
export function isWebGpu(backend: object): backend is WebGpuBackend {
  return HOOKS.every((name) => name in backend);
}

const WIDTH = 64;
/** Elements of an invocation, so that the constants are read less often. */
const EACH = 16;
const MOST_GROUPS = 65_535;

/** @param buffers names and element types; the first `written` are written */
function shader(buffers: readonly string[], written: number, code: string, main: string): string {
  const bindings = buffers.map(
    (buffer, i) =>
      `@group(0) @binding(${i}) var<storage, ${i < written ? "read_write" : "read"}> in${buffer[0]}: array<${buffer.slice(1)}>;`,
  );
  return `${bindings.join("\n")}
fn isnan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }
fn larger(a: f32, b: f32) -> f32 { return select(select(max(a, b), b, isnan(b)), a, isnan(a)); }
fn bad(x: f32) -> f32 {
  return select(select(0.0, 1.0, (bitcast<u32>(x) & 0x7fffffffu) == 0x7f800000u), 2.0, isnan(x));
}
fn flushed(a: f32, least: f32) -> f32 {
  return select(a, 0.0, (bitcast<u32>(a) & 0x7fffffffu) < bitcast<u32>(least));
}
${toWgsl(code)}
@compute @workgroup_size(${WIDTH})
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
${main}
}`;
}

const vectorReader = (name: string) => `fn ${name}(i: i32) -> vec4f { return in${name}[i]; }\n`;

const pipelines = new WeakMap<GpuDevice, Map<string, Pipeline>>();

/** Buffers of tfjs's, written in place: a dispatch for each variable, and one submission of all that a step has. */
export class WebGpuPlacement extends DevicePlacement {
  declare readonly backend: WebGpuBackend;
  #pass: Pass | undefined;

  protected override begin(work: readonly Work[], infos: readonly TensorInfo[]): void {
    const { backend } = this;
    for (const { slot, gradient } of work) {
      this.#bufferOf(gradient);
      for (const variable of [slot.variable!, ...slot.moments]) this.#own(variable);
    }
    for (const info of infos) this.#bufferOf(info);
    backend.endComputePassEncoder();
    backend.ensureCommandEncoderReady();
    this.#pass = backend.commandEncoder.beginComputePass();
  }

  protected override compute(
    { inputs: names, code }: Kernel,
    inputs: readonly TensorInfo[],
    count: number,
  ): TensorInfo {
    const result = this.backend.makeTensorInfo(vectors(count), "float32");
    const readers = names.map((name) => {
      const reader = name === "G" ? "fn G(i: i32) -> f32 { return inG[i]; }" : vectorReader(name);
      return `${reader}fn sizeOf${name}() -> i32 { return i32(arrayLength(&in${name})); }\n`;
    });
    const buffers = ["Rvec4f", ...names.map((name) => name + (name === "G" ? "f32" : "vec4f"))];
    const whole = `${readers.join("")}fn count() -> i32 { return i32(arrayLength(&inR)); }\n${code}`;
    const main = "if (id.x < arrayLength(&inR)) { inR[id.x] = result(i32(id.x)); }";
    this.#dispatch(
      shader(buffers, 1, whole, main),
      count,
      [result, ...inputs].map((info) => this.#bind(info)),
    );
    return result;
  }

  protected override update(work: readonly Work[], { classes }: Plan, decision: readonly TensorInfo[]): void {
    const { amsgrad } = this.settings.hyper;
    const decided = decision.length > 1;
    const quantities = ["p", "m", "v", ...(amsgrad ? ["x"] : []), "g"];
    const names = quantities.map((quantity) => quantity.toUpperCase());
    for (const { slot, gradient, class: which } of work) {
      const { head, constants, body } = update(String(which), decided, { coupled: classes[which]!.coupled, amsgrad });
      const vectors = decided ? ["D", "U"] : ["U"];
      const main = `${decided ? "if (d(3) > 0.0) { return; }" : ""}
${toWgsl(constants)}
let length = arrayLength(&inP);
for (var i = id.x; i < length; i += ${WIDTH} * groups.x) {
${quantities.map((quantity, i) => `var ${quantity} = in${names[i]}[i];`).join("\n")}
${body}
${quantities
  .slice(0, -1)
  .map((quantity, i) => `in${names[i]}[i] = ${quantity};`)
  .join("\n")}
}`;
      const code = shader(
        [...names.map((name) => `${name}f32`), ...vectors.map((name) => `${name}vec4f`)],
        quantities.length - 1,
        vectors.map(vectorReader).join("") + head,
        main,
      );
      const infos = [slot.variable!, ...slot.moments, gradient, ...decision];
      this.#dispatch(
        code,
        gradient.size / EACH,
        infos.map((info) => this.#bind(info)),
      );
    }
    this.#pass!.end();
    this.backend.submitQueue();
  }

  protected override readNow(): never {
    const expected = "steps whose outcome is known (await optimizer.readable()) before they leave for another backend";
    fail(Error, "ERR_BACKEND", this.tf.getBackend(), expected, "some that are in flight");
  }

  /** A variable is going to be written in place. Data that something else shares is left to it. */
  #own(variable: Variable): void {
    const { backend } = this;
    this.#bufferOf(variable);
    const { refCount, external } = backend.tensorMap.get(variable.dataId);
    if (refCount > 1 || external) {
      const { tensorRef } = backend.readToGPU(variable.dataId);
      variable.assign(tensorRef);
      tensorRef.dispose();
    }
    watch(backend.tensorMap.get(variable.dataId)).forget();
  }

  /** Brings it here from another backend, and onto the device. */
  #bufferOf({ dataId }: TensorInfo): object {
    const data = this.backend.tensorMap.get(dataId);
    this.backend.uploadToGPU(dataId);
    return data.resource;
  }

  /** As long as the tensor: what somebody else has made may be longer. */
  #bind(info: TensorInfo): Binding {
    return { buffer: this.#bufferOf(info), size: info.shape.reduce((a, b) => a * b, 4) };
  }

  #dispatch(code: string, count: number, bindings: readonly Binding[]): void {
    const { device } = this.backend;
    const known = pipelines.get(device) ?? new Map<string, Pipeline>();
    pipelines.set(device, known);
    const pipeline =
      known.get(code) ??
      device.createComputePipeline({ layout: "auto", compute: { module: device.createShaderModule({ code }) } });
    known.set(code, pipeline);
    const entries = bindings.map((resource, binding) => ({ binding, resource }));
    const pass = this.#pass!;
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
    pass.dispatchWorkgroups(Math.min(Math.ceil(count / WIDTH), MOST_GROUPS));
  }
}

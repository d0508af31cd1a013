/** What the numbers of a safetensors file are as float32: the same bits as other libraries give, for every pattern there is. */
import { readSafetensors, writeSafetensors } from "fused-adam/safetensors";
import { beforeAll, describe, expect, it } from "vitest";
import { expectSameBits } from "../support/bits.js";
import { unless } from "../support/host.js";
import { type Environment, noPython, noTorch, python } from "../support/python.js";

function read(dtype: string, elements: ArrayBufferView, length: number): Float32Array {
  const bytes = new Uint8Array(elements.buffer as ArrayBuffer, elements.byteOffset, elements.byteLength);
  const file = writeSafetensors({ tensors: { x: { dtype, shape: [length], bytes } } });
  return readSafetensors(file).tensors.x!.toFloat32();
}

/** An element type of a library, and the elements. */
type Given = readonly [name: string, elements: ArrayBufferView];

/** What Python makes of each, as float32: `convert` is an expression over `name` and `given`, whose result is a NumPy array. */
function inPython(environment: Environment, imports: string, convert: string, rows: readonly Given[]): Float32Array[] {
  const base64 = ({ buffer, byteOffset, byteLength }: ArrayBufferView) =>
    Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength).toString("base64");
  const script = `
import base64, json, sys, ${imports}
def converted(name, text):
    given = bytearray(base64.b64decode(text))
    return base64.b64encode((${convert}).tobytes()).decode()
print(json.dumps([converted(*row) for row in json.load(sys.stdin)]))`;
  const input = JSON.stringify(rows.map(([name, elements]) => [name, base64(elements)]));
  const printed: string[] = JSON.parse(python(script, { environment, input }));
  return printed.map((text) => new Float32Array(new Uint8Array(Buffer.from(text, "base64")).buffer));
}

const patterns16 = Uint16Array.from({ length: 65536 }, (_, i) => i);
const patterns8 = Uint8Array.from({ length: 256 }, (_, i) => i);

// Around every power of two: halfway between two float32s, and so close to halfway that a double rounds to it.
const halfways = Array.from({ length: 62 }, (_, i) => 2n ** BigInt(i)).flatMap((power) =>
  [0n, power >> 24n, 3n * (power >> 24n), power >> 23n].flatMap((half) =>
    [-1n, 0n, 1n].flatMap((d) => [power + half + d, -(power + half + d)]),
  ),
);
const i64 = BigInt64Array.from([...halfways, 2n ** 63n - 1n, -(2n ** 63n)]);
const i32 = Int32Array.from(i64, Number);
const extremes = [
  2 ** -149,
  2 ** -150,
  1.5 * 2 ** -150,
  2 ** -127,
  3.4028235677973366e38,
  3.5e38,
  -0,
  Number.NaN,
  -Infinity,
];
const f64 = Float64Array.from([
  ...i32,
  ...extremes,
  ...Array.from({ length: 999 }, (_, i) => Math.sin(i) * 10 ** ((i % 80) - 40)),
]);
const f32 = Float32Array.of(1, -0, 2 ** -149, 3.4028234663852886e38, Infinity, Number.NaN);

describe("as PyTorch converts them, rounding once, to nearest, ties to even", unless(noTorch()), () => {
  const rows: [dtype: string, ...Given][] = [
    ["F16", "float16", patterns16],
    ["BF16", "bfloat16", patterns16],
    ["I16", "int16", patterns16],
    ["I8", "int8", patterns8],
    ["U8", "uint8", patterns8],
    ["I64", "int64", i64],
    ["I32", "int32", i32],
    ["F64", "float64", f64],
    ["F32", "float32", f32],
  ];
  let expected: Float32Array[];
  beforeAll(() => {
    const convert = "torch.frombuffer(given, dtype=getattr(torch, name)).to(torch.float32).numpy()";
    expected = inPython(
      "torch",
      "torch",
      convert,
      rows.map(([, ...given]) => given),
    );
  });

  it.each(rows.map(([dtype, , elements], i) => [dtype, elements, i] as const))("%s", (dtype, elements, i) => {
    expectSameBits(dtype, read(dtype, elements, expected[i]!.length), expected[i]!);
  });

  it("every pattern of 16 and of 8 bits was among them", () => {
    expect(expected.slice(0, 5).map(({ length }) => length)).toEqual([65536, 65536, 65536, 256, 256]);
  });
});

describe("as ml_dtypes converts them: all 256 patterns", unless(noPython("jax", "ml_dtypes", "numpy")), () => {
  const rows: [dtype: string, name: string][] = [
    ["F8_E4M3", "float8_e4m3fn"],
    ["F8_E5M2", "float8_e5m2"],
    ["F8_E4M3FNUZ", "float8_e4m3fnuz"],
    ["F8_E5M2FNUZ", "float8_e5m2fnuz"],
    ["F8_E8M0", "float8_e8m0fnu"],
  ];
  let expected: Float32Array[];
  beforeAll(() => {
    const convert = "numpy.frombuffer(given, dtype=getattr(ml_dtypes, name)).astype(numpy.float32)";
    expected = inPython(
      "jax",
      "ml_dtypes, numpy",
      convert,
      rows.map(([, name]) => [name, patterns8]),
    );
  });

  it.each(rows.map(([dtype], i) => [dtype, i] as const))("%s", (dtype, i) => {
    expectSameBits(dtype, read(dtype, patterns8, 256), expected[i]!);
  });
});

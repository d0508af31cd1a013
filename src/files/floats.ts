/** Bits of exponent and mantissa, beside one for the sign. `finite`: no infinities, and NaN is all ones (OCP E4M3). */
const SMALL = {
  F16: { exponent: 5, mantissa: 10, finite: false },
  BF16: { exponent: 8, mantissa: 7, finite: false },
  F8_E5M2: { exponent: 5, mantissa: 2, finite: false },
  F8_E4M3: { exponent: 4, mantissa: 3, finite: true },
} as const;

type Floats = Float64Array | Float32Array;

/** Converts bytes of a float type to numbers: aligned, little-endian, whole elements. Undefined for every other type. */
export function floatReader(dtype: string): ((bytes: Uint8Array<ArrayBuffer>) => Floats) | undefined {
  if (dtype === "F64") return (bytes) => elements(Float64Array, bytes);
  if (dtype === "F32") return (bytes) => elements(Float32Array, bytes);
  if (!Object.hasOwn(SMALL, dtype)) return undefined;
  const values = valuesOf(SMALL[dtype as keyof typeof SMALL]);
  if (values.length === 256) return (bytes) => Float64Array.from(bytes, (code) => values[code]!);
  return (bytes) => Float64Array.from(elements(Uint16Array, bytes), (code) => values[code]!);
}

function elements<T>(
  View: { new (buffer: ArrayBuffer, byteOffset: number, length: number): T; readonly BYTES_PER_ELEMENT: number },
  { buffer, byteOffset, length }: Uint8Array<ArrayBuffer>,
): T {
  return new View(buffer, byteOffset, length / View.BYTES_PER_ELEMENT);
}

/** The value of every bit pattern of a small float type. */
function valuesOf({ exponent, mantissa, finite }: (typeof SMALL)[keyof typeof SMALL]): Float64Array {
  const top = 2 ** exponent - 1;
  const bias = 2 ** (exponent - 1) - 1;
  const one = 2 ** mantissa;
  return Float64Array.from({ length: 2 ** (1 + exponent + mantissa) }, (_, bits) => {
    const e = (bits >> mantissa) & top;
    const m = bits & (one - 1);
    const sign = bits >> (exponent + mantissa) ? -1 : 1;
    if (e === top && (finite ? m === one - 1 : true)) return finite || m !== 0 ? Number.NaN : sign * Infinity;
    return sign * (e === 0 ? (m / one) * 2 ** (1 - bias) : (1 + m / one) * 2 ** (e - bias));
  });
}

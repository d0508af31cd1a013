/**
 * Bits of exponent and mantissa, beside one for the sign. `special`: which patterns are no numbers. "ieee": of the largest exponent, which
 * has infinities and NaN; "ones": all ones, NaN (OCP's E4M3); "-0": the sign alone, NaN, and the exponents begin one lower (FNUZ).
 */
const SMALL = {
  F16: { exponent: 5, mantissa: 10, special: "ieee" },
  BF16: { exponent: 8, mantissa: 7, special: "ieee" },
  F8_E5M2: { exponent: 5, mantissa: 2, special: "ieee" },
  F8_E4M3: { exponent: 4, mantissa: 3, special: "ones" },
  F8_E5M2FNUZ: { exponent: 5, mantissa: 2, special: "-0" },
  F8_E4M3FNUZ: { exponent: 4, mantissa: 3, special: "-0" },
} as const;

type Numbers =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array;

interface View<T> {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBuffer, byteOffset: number, length: number): T;
}

/** Types whose elements a typed array has as they are. */
const PLAIN: Readonly<Record<string, View<Numbers>>> = {
  F64: Float64Array,
  F32: Float32Array,
  I32: Int32Array,
  U32: Uint32Array,
  I16: Int16Array,
  U16: Uint16Array,
  I8: Int8Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
};

/**
 * Converts the bytes of an element type to numbers: aligned, little-endian, whole elements. A view of the bytes where that is possible.
 * Undefined for types that are not known, for complex ones, and for those smaller than a byte, whose order in a byte the format does not define.
 */
export function elementReader(dtype: string): ((bytes: Uint8Array<ArrayBuffer>) => Numbers) | undefined {
  if (Object.hasOwn(PLAIN, dtype)) return (bytes) => view(PLAIN[dtype]!, bytes);
  if (dtype === "I64") return (bytes) => Float64Array.from(view(BigInt64Array, bytes), oddly);
  if (dtype === "U64") return (bytes) => Float64Array.from(view(BigUint64Array, bytes), oddly);
  const values = valuesOf(dtype);
  return values && ((bytes) => lookUp(values, values.length === 256 ? bytes : view(Uint16Array, bytes)));
}

function view<T>(Type: View<T>, { buffer, byteOffset, length }: Uint8Array<ArrayBuffer>): T {
  return new Type(buffer, byteOffset, length / Type.BYTES_PER_ELEMENT);
}

/** An integer that 52 bits cannot hold rounded to the odd one of its neighbours that can: rounding that to float32 is as rounding once. */
function oddly(integer: bigint): number {
  const number = Number(integer);
  if (Number.isSafeInteger(number)) return number;
  return Number((integer >> 12n) | BigInt((integer & 0xfffn) !== 0n)) * 4096;
}

function lookUp(values: Float32Array, codes: Uint8Array | Uint16Array): Float32Array {
  const floats = new Float32Array(codes.length);
  for (let i = 0; i < floats.length; i++) floats[i] = values[codes[i]!]!;
  return floats;
}

const tables = new Map<string, Float32Array>();

/** The value of every bit pattern of a small float type, each of which a float32 holds. */
function valuesOf(dtype: string): Float32Array | undefined {
  if (!tables.has(dtype)) {
    // A power of two without a sign (OCP's E8M0), a scale of other numbers.
    if (dtype === "F8_E8M0")
      tables.set(
        dtype,
        everyOf(8, (bits) => (bits === 255 ? Number.NaN : 2 ** (bits - 127))),
      );
    else if (Object.hasOwn(SMALL, dtype)) tables.set(dtype, smallValues(SMALL[dtype as keyof typeof SMALL]));
  }
  return tables.get(dtype);
}

function everyOf(width: number, value: (bits: number) => number): Float32Array {
  return Float32Array.from({ length: 2 ** width }, (_, bits) => value(bits));
}

function smallValues({ exponent, mantissa, special }: (typeof SMALL)[keyof typeof SMALL]): Float32Array {
  const top = 2 ** exponent - 1;
  const bias = 2 ** (exponent - 1) - (special === "-0" ? 0 : 1);
  const one = 2 ** mantissa;
  return everyOf(1 + exponent + mantissa, (bits) => {
    const e = (bits >> mantissa) & top;
    const m = bits & (one - 1);
    const sign = bits >> (exponent + mantissa) ? -1 : 1;
    if (special === "ieee" && e === top) return m === 0 ? sign * Infinity : Number.NaN;
    if (special === "ones" && e === top && m === one - 1) return Number.NaN;
    if (special === "-0" && sign < 0 && e === 0 && m === 0) return Number.NaN;
    return sign * (e === 0 ? (m / one) * 2 ** (1 - bias) : (1 + m / one) * 2 ** (e - bias));
  });
}

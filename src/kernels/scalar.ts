import { type Kernels, UPDATE_ROWS, type UpdateKernel, type UpdateRow } from "./table.js";

const MIN_NORMAL = 2 ** -126;

/**
 * The kernels in TypeScript, for hosts without WebAssembly SIMD: assembly/adam.ts, reduce.ts and flush.ts operation by
 * operation, each rounded to float32. An operation on float32 values done in float64 and rounded once more has the bits of
 * the float32 operation, for + − × ÷ and √ (53 >= 2·24 + 2: Figueroa 1995).
 */
export function scalarKernels(memory: Pick<WebAssembly.Memory, "buffer">): Kernels {
  let view = new Float32Array(memory.buffer);
  const heap = () => {
    if (view.buffer !== memory.buffer) view = new Float32Array(memory.buffer);
    return view;
  };
  return {
    kind: "scalar",
    update: UPDATE_ROWS.map((row) => updateKernel(row, heap)),
    sumSquares: (grad, length) => sumSquares(heap(), grad >>> 2, length),
    flush: (ptr, length) => flush(heap(), ptr >>> 2, length),
  };
}

function updateKernel({ decay, amsgrad, gradient }: UpdateRow, heap: () => Float32Array): UpdateKernel {
  const coupled = decay === "adam";
  const scaled = gradient !== "";
  const zeroing = gradient === "zeroing";
  const f = Math.fround;
  return (
    param,
    grad,
    expAvg,
    expAvgSq,
    maxExpAvgSq,
    length,
    beta1,
    c1,
    beta2,
    c2,
    stepSize,
    rsqrt,
    eps,
    d,
    factor,
  ) => {
    const h = heap();
    let pi = param >>> 2;
    let gi = grad >>> 2;
    let mi = expAvg >>> 2;
    let vi = expAvgSq >>> 2;
    let xi = maxExpAvgSq >>> 2;
    for (const end = pi + length; pi < end; pi++, gi++, mi++, vi++, xi++) {
      let p = h[pi]!;
      let g = h[gi]!;
      if (scaled) g = f(g * factor);
      if (coupled) g = f(g + f(d * p));
      else p = f(p * d);

      const m = f(f(h[mi]! * beta1) + f(g * c1));
      let v = f(f(h[vi]! * beta2) + f(f(c2 * g) * g));
      h[mi] = m;
      h[vi] = v;
      if (amsgrad) {
        v = Math.max(h[xi]!, v);
        h[xi] = v;
      }

      const denom = f(f(f(Math.sqrt(v)) * rsqrt) + eps);
      h[pi] = f(p - f(f(stepSize * m) / denom));
      if (zeroing) h[gi] = 0;
    }
  };
}

function sumSquares(h: Float32Array, start: number, length: number): number {
  const sums = [0, 0, 0, 0, 0, 0, 0, 0];
  const whole = length - (length % 8);
  for (let i = 0; i < length; i++) {
    const x = h[start + i]!;
    const lane = i < whole ? i % 8 : 0;
    sums[lane] = sums[lane]! + x * x;
  }
  const [s0, s1, s2, s3, s4, s5, s6, s7] = sums as [number, number, number, number, number, number, number, number];
  return s0 + s2 + (s4 + s6) + (s1 + s3 + (s5 + s7));
}

function flush(h: Float32Array, start: number, length: number): void {
  for (let i = start; i < start + length; i++) {
    if (Math.abs(h[i]!) < MIN_NORMAL) h[i] = 0;
  }
}

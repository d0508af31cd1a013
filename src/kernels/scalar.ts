import { type Kernels, UPDATE_ROWS, type UpdateKernel, type UpdateRow } from "./table.js";

const MIN_NORMAL = 2 ** -126;

/** Elements that are worked on at a time: what the parts of an update share is then still in the first cache. */
const BLOCK = 1024;

/**
 * The kernels in TypeScript, for hosts without WebAssembly SIMD: assembly/adam.ts, reduce.ts and flush.ts operation by
 * operation, each rounded to float32. An operation on float32 values done in float64 and rounded once more has the bits of
 * the float32 operation, for + − × ÷ and √ (53 >= 2·24 + 2: Figueroa 1995).
 *
 * What lies in memory is float32 here; src/kernels/scalarHalf.ts has the other formats.
 *
 * The loops are small functions without a branch, called again and again by every row, because that is what engines compile best:
 * one loop for everything took 1.4 times as long. Constants are float32 already: to round them again tells the compiler so.
 */
export function scalarKernels(memory: Pick<WebAssembly.Memory, "buffer">): Kernels {
  let view = new Float32Array(memory.buffer);
  const heap = () => {
    if (view.buffer !== memory.buffer) view = new Float32Array(memory.buffer);
    return view;
  };
  const scratch = new Float32Array(BLOCK);
  return {
    kind: "scalar",
    update: UPDATE_ROWS.map((row) => updateKernel(row, heap, scratch)),
    sumSquares: [(grad, length) => sumSquares(heap(), grad >>> 2, length)],
    flush: [(values, length) => flush(heap(), values >>> 2, length)],
    copy: [],
  };
}

function updateKernel(row: UpdateRow, heap: () => Float32Array, scratch: Float32Array): UpdateKernel {
  return function update(
    param,
    grad,
    expAvg,
    expAvgSq,
    maxExpAvgSq,
    length,
    beta1,
    oneMinusBeta1,
    beta2,
    oneMinusBeta2,
    stepSize,
    rsqrtBiasCorrection2,
    eps,
    decay,
    gradFactor,
  ) {
    const h = heap();
    const isL2 = row.decay === "l2";
    const isPlain = row.gradient === "plain";
    const isChanged = isL2 || !isPlain;
    const source = isChanged ? scratch : h;
    for (let from = 0; from < length; from += BLOCK) {
      const n = Math.min(BLOCK, length - from);
      const p = (param >>> 2) + from;
      const g = (grad >>> 2) + from;
      const m = (expAvg >>> 2) + from;
      const v = (expAvgSq >>> 2) + from;
      const vMax = (maxExpAvgSq >>> 2) + from;
      // To multiply by 1 changes no bit, here and below.
      if (isChanged) scale(scratch, h, g, n, isPlain ? 1 : gradFactor);
      if (isL2) addDecay(scratch, h, p, n, decay);
      if (row.gradient === "zeroing") h.fill(0, g, g + n);
      updateMoments(h, m, v, source, isChanged ? 0 : g, n, beta1, oneMinusBeta1, beta2, oneMinusBeta2);
      if (row.amsgrad) keepLarger(h, vMax, v, n);
      descend(h, p, m, row.amsgrad ? vMax : v, n, stepSize, rsqrtBiasCorrection2, eps, isL2 ? 1 : decay);
    }
  };
}

/** out = g · factor */
function scale(out: Float32Array, h: Float32Array, g: number, n: number, gradFactor: number): void {
  const factor = Math.fround(gradFactor);
  for (let i = 0; i < n; i++) out[i] = h[g + i]! * factor;
}

/** out = out + λ · p */
function addDecay(out: Float32Array, h: Float32Array, p: number, n: number, decay: number): void {
  const lambda = Math.fround(decay);
  for (let i = 0; i < n; i++) out[i] = out[i]! + Math.fround(lambda * h[p + i]!);
}

/** m = m · β1 + g · (1 − β1), v = v · β2 + ((1 − β2) · g) · g; g is source[at], … */
function updateMoments(
  h: Float32Array,
  m: number,
  v: number,
  source: Float32Array,
  at: number,
  n: number,
  beta1: number,
  oneMinusBeta1: number,
  beta2: number,
  oneMinusBeta2: number,
): void {
  const b1 = Math.fround(beta1);
  const c1 = Math.fround(oneMinusBeta1);
  const b2 = Math.fround(beta2);
  const c2 = Math.fround(oneMinusBeta2);
  for (let i = 0; i < n; i++) {
    const g = source[at + i]!;
    h[m + i] = Math.fround(h[m + i]! * b1) + Math.fround(g * c1);
    h[v + i] = Math.fround(h[v + i]! * b2) + Math.fround(Math.fround(c2 * g) * g);
  }
}

/** vMax = max(vMax, v); NaN if either is. */
function keepLarger(h: Float32Array, vMax: number, v: number, n: number): void {
  for (let i = 0; i < n; i++) h[vMax + i] = Math.max(h[vMax + i]!, h[v + i]!);
}

/** p = p · keep − (stepSize · m) / (√a · rsqrt + eps) */
function descend(
  h: Float32Array,
  p: number,
  m: number,
  a: number,
  n: number,
  stepSize: number,
  rsqrtBiasCorrection2: number,
  epsilon: number,
  keep: number,
): void {
  const size = Math.fround(stepSize);
  const rsqrt = Math.fround(rsqrtBiasCorrection2);
  const eps = Math.fround(epsilon);
  const factor = Math.fround(keep);
  for (let i = 0; i < n; i++) {
    const denom = Math.fround(Math.fround(Math.fround(Math.sqrt(h[a + i]!)) * rsqrt) + eps);
    h[p + i] = Math.fround(h[p + i]! * factor) - Math.fround(Math.fround(size * h[m + i]!) / denom);
  }
}

/** Eight sums as in assembly/reduce.ts, where the order is explained. */
function sumSquares(h: Float32Array, start: number, length: number): number {
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let s4 = 0;
  let s5 = 0;
  let s6 = 0;
  let s7 = 0;
  const end = start + length;
  let i = start;
  for (; end - i >= 8; i += 8) {
    s0 += h[i]! * h[i]!;
    s1 += h[i + 1]! * h[i + 1]!;
    s2 += h[i + 2]! * h[i + 2]!;
    s3 += h[i + 3]! * h[i + 3]!;
    s4 += h[i + 4]! * h[i + 4]!;
    s5 += h[i + 5]! * h[i + 5]!;
    s6 += h[i + 6]! * h[i + 6]!;
    s7 += h[i + 7]! * h[i + 7]!;
  }
  for (; i < end; i++) s0 += h[i]! * h[i]!;
  return s0 + s2 + (s4 + s6) + (s1 + s3 + (s5 + s7));
}

function flush(h: Float32Array, start: number, length: number): void {
  for (let i = start; i < start + length; i++) {
    if (Math.abs(h[i]!) < MIN_NORMAL) h[i] = 0;
  }
}

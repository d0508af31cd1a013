/**
 * What devices compute, in GLSL, of which `toWgsl` makes WGSL. Numbers of the optimizer's own lie in vectors of four, as a texel
 * holds them: `S(i)` is the i-th of an input S. `G(i)` is an element of a gradient, `sizeOf…` how many an input has, `count` how
 * many results there are. Each language declares these, and `bad`, `larger` and `flushed`, for itself.
 */
import { CONSTANTS } from "../../../../kernels/table.js";
import { type Quantity, sliceOf, termsOf, type Variant } from "./terms.js";

/** Vectors of a class's constants; what follows the constants is the magnitude below which moments become zero. */
export const ROW = 3;
/** Numbers of a verdict before its counters, of a sheet (plan.ts) before its own, and of each class there. */
export const HEAD = 5;

/** A computation: its inputs, and a function `result` from an index to a vector. */
export interface Kernel {
  readonly inputs: readonly string[];
  readonly code: string;
}

const float = (value: number) => value.toExponential();

/**
 * Sums are of squares, of large, middling and small values apart, as in BLAS's nrm2 (Anderson 2017): squares of float32 leave its
 * range. The fourth number is 1 where there was an infinity, 2 where there was a NaN.
 */
const JOIN = "vec4 join(vec4 a, vec4 b) { return vec4(a.xyz + b.xyz, max(a.w, b.w)); }";

/** Partial sums: elements lie apart, so that neighbours are read at the same time. */
export const SQUARES: Kernel = {
  inputs: ["G"],
  code: `${JOIN}
vec4 part(float x) {
  float w = bad(x);
  if (w > 0.0) { return vec4(0.0, 0.0, 0.0, w); }
  float a = abs(x);
  if (a < ${float(2 ** -50)}) { a = a * ${float(2 ** 100)}; return vec4(0.0, 0.0, a * a, 0.0); }
  if (a < ${float(2 ** 50)}) { return vec4(0.0, a * a, 0.0, 0.0); }
  a = a * ${float(2 ** -80)};
  return vec4(a * a, 0.0, 0.0, 0.0);
}
vec4 result(int i) {
  vec4 sum = vec4(0.0);
  for (int j = i; j < sizeOfG(); j += count()) { sum = join(sum, part(G(j))); }
  return sum;
}`,
};

/** Partial sums added to a sum. */
export const SUM: Kernel = {
  inputs: ["T", "S"],
  code: `${JOIN}
vec4 result(int i) {
  vec4 sum = T(0);
  for (int j = 0; j < sizeOfS(); j++) { sum = join(sum, S(j)); }
  return sum;
}`,
};

/** The norm that such a sum stands for, in float64. */
export function normOf([large, middling, small, bad]: ArrayLike<number> & Iterable<number>): number {
  if (bad! > 0) return bad === 1 ? Infinity : Number.NaN;
  return Math.sqrt(large! * 2 ** 160 + middling! + small! * 2 ** -200);
}

/** What the norm is compared with: the limit, for large, middling and small sums. */
export function limitsOf(limit: number): readonly number[] {
  return [limit * 2 ** -80, limit, limit * 2 ** 100];
}

const READ = `
float d(int i) { return D(i / 4)[i % 4]; }
float u(int i) { return U(i / 4)[i % 4]; }`;

/**
 * How a device decides a step by itself: whether it is skipped, by which factor gradients are clipped, and which constants each
 * class steps with, after however many skipped steps. A verdict is, from a sum, the verdict before, and the sheet:
 *
 *     sum | factor | by counter: skipped steps | by class: where its constants are
 */
export const VERDICT: Kernel = {
  inputs: ["D", "T", "U"],
  code: `${READ}
float factor(vec4 sum) {
  float norm = sqrt(sum.y + sum.z * ${float(2 ** -100)} * ${float(2 ** -100)});
  float limit = u(1);
  if (sum.x > 0.0) {
    norm = sqrt(sum.x + sum.y * ${float(2 ** -80)} * ${float(2 ** -80)});
    limit = u(0);
  } else if (sum.y == 0.0) {
    norm = sqrt(sum.z);
    limit = u(2);
  }
  if (norm > limit) { return limit / norm; }
  return 1.0;
}
float counter(int i) {
  float n = 0.0;
  if (T(0).w > 0.0) { n = u(${HEAD} + 3 * i); }
  if (i < int(u(4))) { n = n + d(${HEAD} + i); }
  return n;
}
float place(int at) {
  float skips = 0.0;
  if (u(at + 2) > 1.0) {
    float most = ${float(-(2 ** 30))};
    for (int i = 0; i < int(u(3)); i++) {
      if (u(${HEAD} + 3 * i + 1) == u(at + 3)) { most = max(most, u(${HEAD} + 3 * i + 2) - counter(i)); }
    }
    skips = 0.0 - most;
  }
  return u(at + 4) + ${ROW}.0 * ((counter(int(u(at))) - u(at + 1)) * u(at + 2) + skips);
}
float verdict(int i) {
  vec4 sum = T(0);
  if (i < 4) { return sum[i]; }
  if (i < ${HEAD}) { return factor(sum); }
  int counters = int(u(3));
  if (i < ${HEAD} + counters) { return counter(i - ${HEAD}); }
  return place(${HEAD} + 3 * counters + ${HEAD} * (i - ${HEAD} - counters));
}
vec4 result(int i) { return vec4(verdict(4 * i), verdict(4 * i + 1), verdict(4 * i + 2), verdict(4 * i + 3)); }`,
};

/**
 * New values of p, m, v and x, or of one of them: statements that read a class's constants, then those of an element.
 *
 * @param which the class, as an expression
 */
export function update(
  which: string,
  decided: boolean,
  variant: Variant,
  target?: Quantity,
): { readonly head: string; readonly constants: string; readonly body: string } {
  const terms = target === undefined ? termsOf(variant) : sliceOf(target, variant).terms;
  const moments = terms.flatMap(({ to }) => (to === "p" || to === "g" ? [] : [to]));
  const constants = [
    `int row = ${decided ? `int(d(${HEAD} + int(u(3)) + ${which}))` : `${ROW} * ${which}`};`,
    ...Array.from({ length: ROW }, (_, i) => `vec4 k${i} = U(row + ${i});`),
    ...CONSTANTS.map((name, i) => `float ${name} = k${Math.floor(i / 4)}.${"xyzw"[i % 4]};`),
    decided ? "gradFactor = gradFactor * d(4);" : "",
  ];
  const body = [
    ...terms.map(({ to, is }) => `${to} = ${is};`),
    ...moments.map((moment) => `${moment} = flushed(${moment}, k2.y);`),
  ];
  return { head: decided ? READ : "", constants: constants.join("\n"), body: body.join("\n") };
}

const TYPES: Readonly<Record<string, string>> = { float: "f32", int: "i32", vec4: "vec4f" };
const typed = (_: string, type: string, name: string) => `${name}: ${TYPES[type]}`;

/** For what is written above: functions, variables, conversions. */
export function toWgsl(glsl: string): string {
  return glsl
    .replace(/\b(float|vec4) (\w+)\(([^)]*)\) \{/g, (_, type: string, name: string, list: string) => {
      return `fn ${name}(${list.replace(/(\w+) (\w+)/g, typed)}) -> ${TYPES[type]} {`;
    })
    .replace(/\b(float|int|vec4) (\w+) =/g, (...match: [string, string, string]) => `var ${typed(...match)} =`)
    .replace(/\b(float|int|vec4)\(/g, (_, type: string) => `${TYPES[type]}(`);
}

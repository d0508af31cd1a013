/** The arithmetic of the GPUs' shaders, term by term, against the scalar kernel. */
import { describe, expect, it } from "vitest";
import { type Quantity, sliceOf, termsOf } from "../../../src/adapters/tfjs/placements/gpu/terms.js";
import { scalarKernels } from "../../../src/kernels/scalar.js";
import { CONSTANTS, UPDATE_ROWS } from "../../../src/kernels/table.js";
import { stepConstants } from "../../../src/optimizer/stepConstants.js";
import { bitsOf } from "../../support/bits.js";
import { randomBits } from "../../support/data.js";

type Values = Record<string, number>;

/** An expression's value, each operation rounded to float32. */
function evaluate(expression: string, values: Values): number {
  const f = Math.fround;
  const tokens = expression.match(/[a-zA-Z]\w*|[-+*/(),]/g)!;
  let at = 0;
  const primary = (): number => {
    const token = tokens[at++]!;
    if (token === "(") {
      const value = sum();
      at++;
      return value;
    }
    if (tokens[at] !== "(") {
      if (!(token in values)) throw new Error(`unknown ${token}`);
      return values[token]!;
    }
    const list: number[] = [];
    do {
      at++;
      list.push(sum());
    } while (tokens[at] === ",");
    at++;
    if (token === "sqrt") return f(Math.sqrt(list[0]!));
    if (token === "larger") return Math.max(list[0]!, list[1]!);
    throw new Error(`unknown ${token}`);
  };
  const product = (): number => {
    let value = primary();
    while (tokens[at] === "*" || tokens[at] === "/") {
      value = tokens[at++] === "*" ? f(value * primary()) : f(value / primary());
    }
    return value;
  };
  function sum(): number {
    let value = product();
    while (tokens[at] === "+" || tokens[at] === "-") {
      value = tokens[at++] === "+" ? f(value + product()) : f(value - product());
    }
    return value;
  }
  const value = sum();
  if (at !== tokens.length) throw new Error(`${expression}: stopped at ${tokens[at]}`);
  return value;
}

const SPECIAL = [0, -0, 1, -1, 1e-30, 3e38, Infinity, -Infinity, Number.NaN, 2 ** -149, -(2 ** -126)];

/** Inputs of one element: special values for each quantity in turn, then random bits. */
function* inputs(): Generator<Record<Quantity, number>> {
  const next = randomBits(7);
  const ordinary = () => Math.fround((2 * next()) / 2 ** 32 - 1);
  const make = () => ({
    p: ordinary(),
    g: ordinary(),
    m: ordinary(),
    v: Math.abs(ordinary()),
    x: Math.abs(ordinary()),
  });
  for (const quantity of ["p", "g", "m", "v", "x"] as const) {
    for (const value of SPECIAL)
      yield { ...make(), [quantity]: quantity < "n" || value >= 0 ? value : Math.abs(value) };
  }
  for (let i = 0; i < 500; i++) yield make();
}

const HYPER = {
  lr: 0.01,
  betas: [0.9, 0.999] as const,
  eps: 1e-8,
  weightDecay: 0.1,
  amsgrad: false,
  maximize: false,
  biasCorrection: true,
};

const KERNELS = UPDATE_ROWS.flatMap((row, i) => (row.gradient === "scaled" ? [{ row, i }] : []));

describe.each(KERNELS)("$row.name", ({ row, i }) => {
  const variant = { coupled: row.decay === "l2", amsgrad: row.amsgrad };
  const memory = { buffer: new ArrayBuffer(64) };
  const kernel = scalarKernels(memory).update[i]!;
  const constants = new Float32Array(CONSTANTS.length);
  stepConstants(constants, HYPER, variant.coupled, 0.01, HYPER.weightDecay, 3, 0.25);
  const named = Object.fromEntries(CONSTANTS.map((name, j) => [name, constants[j]!]));

  it("every quantity, alone and with the others: the kernel's bits", () => {
    const h = new Float32Array(memory.buffer);
    for (const input of inputs()) {
      h.set([input.p, input.g, input.m, input.v, input.x]);
      const [c0, c1, c2, c3, c4, c5, c6, c7, c8] = constants as unknown as number[];
      kernel(0, 4, 8, 12, 16, 1, c0!, c1!, c2!, c3!, c4!, c5!, c6!, c7!, c8!);
      const expected = { p: h[0]!, m: h[2]!, v: h[3]!, ...(variant.amsgrad && { x: h[4]! }) };
      const whole: Values = { ...input, ...named };
      for (const { to, is } of termsOf(variant)) whole[to] = evaluate(is, whole);
      for (const [quantity, value] of Object.entries(expected)) {
        const { terms, from } = sliceOf(quantity as Quantity, variant);
        const alone: Values = { ...named, ...Object.fromEntries(from.map((name) => [name, input[name]])) };
        for (const { to, is } of terms) alone[to] = evaluate(is, alone);
        const bits = bitsOf(Float32Array.of(whole[quantity]!, alone[quantity]!, value));
        expect([...bits], `${quantity} of ${JSON.stringify(input)}`).toEqual([bits[2], bits[2], bits[2]]);
      }
    }
  });
});

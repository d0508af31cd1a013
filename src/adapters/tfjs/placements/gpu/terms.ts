/**
 * The arithmetic of an update, once for WGSL and GLSL: assembly/adam.ts operation by operation, as expressions that mean the
 * same in both. p, g, m, v and x are the parameter, its gradient, first, second and largest second moment.
 */
export type Quantity = "p" | "g" | "m" | "v" | "x";

/** What tells updates apart. */
export interface Variant {
  /** L2: the decay goes into the gradient. */
  readonly coupled: boolean;
  readonly amsgrad: boolean;
}

interface Term {
  readonly to: Quantity;
  readonly is: string;
}

export function termsOf({ coupled, amsgrad }: Variant): readonly Term[] {
  return [
    { to: "g", is: "g * gradFactor" },
    coupled ? { to: "g", is: "g + decay * p" } : { to: "p", is: "p * decay" },
    { to: "m", is: "m * beta1 + g * oneMinusBeta1" },
    { to: "v", is: "v * beta2 + (oneMinusBeta2 * g) * g" },
    ...(amsgrad ? [{ to: "x", is: "larger(x, v)" } as const] : []),
    { to: "p", is: `p - (stepSize * m) / (sqrt(${amsgrad ? "x" : "v"}) * rsqrtBiasCorrection2 + eps)` },
  ];
}

/** Those terms on which a quantity depends, and what they start from. */
export function sliceOf(
  target: Quantity,
  variant: Variant,
): { readonly terms: readonly Term[]; readonly from: readonly Quantity[] } {
  const needed = new Set<Quantity>([target]);
  const terms = [...termsOf(variant)].reverse().filter(({ to, is }) => {
    if (!needed.has(to)) return false;
    for (const [name] of is.matchAll(/\b[pgmvx]\b/g)) needed.add(name as Quantity);
    return true;
  });
  return { terms: terms.reverse(), from: [...needed] };
}

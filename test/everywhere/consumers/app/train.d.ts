export const LENGTHS: Readonly<Record<"weight" | "bias", number>>;
export const STEPS: number;
export const OPTIONS: {
  readonly weightDecay: number;
  readonly clipNorm: number;
  readonly rate: { readonly lr: number; readonly steps: number };
};
export function values(length: number, seed: number): Float32Array<ArrayBuffer>;
export function digestOf(arrays: readonly Float32Array[]): Promise<string>;

/**
 * The modules: which features of WebAssembly they are compiled with, whether they know formats of 16 bits as well, and whether bundles
 * keep them apart until somebody asks for them. Each is there twice, for memory that is shared and for memory that is not.
 */
export const MODULES = {
  simd: { features: ["simd"], half: false, lazy: false },
  relaxed: { features: ["simd", "relaxed-simd"], half: false, lazy: true },
  "half-simd": { features: ["simd"], half: true, lazy: true },
  "half-relaxed": { features: ["simd", "relaxed-simd"], half: true, lazy: true },
} as const satisfies Record<string, { features: readonly string[]; half: boolean; lazy: boolean }>;

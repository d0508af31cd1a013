/** How numbers lie in memory. Kernels know a format by its index; assembly/storage.ts has the words in the same order. */
export const FORMATS = ["float32", "float16", "bfloat16"] as const;
export type Format = (typeof FORMATS)[number];

/** Which of them the gradients of a group may have, its moments, and the copies of its parameters. */
export const GRAD_FORMATS = FORMATS;
export const MOMENT_FORMATS = ["float32", "bfloat16"] as const satisfies readonly Format[];
export const COPY_FORMATS = ["float16", "bfloat16"] as const satisfies readonly Format[];

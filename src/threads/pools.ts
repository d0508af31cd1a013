import type { Pool } from "./pool.js";

type PoolClass = typeof Pool;

let pools: PoolClass | undefined;

/** For a host that has the code of pools from the start. */
export function providePools(Class: PoolClass): void {
  pools = Class;
}

/** Pools of workers, as far as their code is here. */
export function loadedPools(): PoolClass | undefined {
  return pools;
}

/**
 * Fetches the code of pools, which bundles for pages keep apart until somebody asks for threads.
 *
 * @throws (rejects with) what the host says where it cannot be loaded
 */
export async function loadPools(): Promise<void> {
  pools ??= (await import("./pool.js")).Pool;
}

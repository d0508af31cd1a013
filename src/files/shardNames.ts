import type { Kind } from "../shards/format.js";

/** What Hugging Face's readers look for in a model's folder. */
export const INDEX_ENDING = ".safetensors.index.json";

export function indexName(kind: Kind): string {
  return kind + INDEX_ENDING;
}

/** Counted from 1, as Hugging Face's libraries do. */
export function shardName(kind: Kind, rank: number, ranks: number): string {
  const digits = (count: number) => String(count).padStart(5, "0");
  return `${kind}-${digits(rank + 1)}-of-${digits(ranks)}.safetensors`;
}

/** The name is a shard's if `shardName` would give it. Nothing else is opened: an index may say anything. */
export function parseShardName(kind: Kind, name: unknown): { rank: number; ranks: number } | undefined {
  const found = typeof name === "string" ? /^[a-z]+-(\d{5})-of-(\d{5})\.safetensors$/.exec(name) : null;
  if (found === null) return undefined;
  const [rank, ranks] = [Number(found[1]) - 1, Number(found[2])];
  return rank >= 0 && rank < ranks && shardName(kind, rank, ranks) === name ? { rank, ranks } : undefined;
}

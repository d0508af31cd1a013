import type { Split } from "../shared/data.js";
import { decodeSplit } from "./compact.js";

/** Fetches and unpacks the digits. */
export async function fetchDigits(url: string): Promise<Split> {
  const response = await fetch(url);
  if (!response.ok || response.body === null) throw new Error(`${url}: the server answered ${response.status}`);
  const unpacked = response.body.pipeThrough(new DecompressionStream("gzip"));
  return decodeSplit(new Uint8Array(await new Response(unpacked).arrayBuffer()));
}

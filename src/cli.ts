#!/usr/bin/env node
import { inspect } from "./files/inspect.js";

const USAGE = `Usage: fused-adam inspect FILE

Prints tensors, shapes, norms, and for a checkpoint steps, groups and whether its checksum holds.
FILE is any safetensors file. Exit code 0: whole; 1: not, or not readable; 2: not understood.`;

async function main([command, file, ...rest]: string[]): Promise<number> {
  if (command === "--help" || command === "-h") {
    console.log(USAGE);
    return 0;
  }
  if (command !== "inspect" || file === undefined || rest.length > 0) {
    console.error(USAGE);
    return 2;
  }
  try {
    const { text, intact } = await inspect(file);
    console.log(text);
    return intact === false ? 1 : 0;
  } catch (error) {
    console.error((error as Error).message);
    return 1;
  }
}

main(process.argv.slice(2)).then((code) => {
  process.exitCode = code;
});

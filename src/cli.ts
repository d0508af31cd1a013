#!/usr/bin/env node
import { visible } from "./checks/errors.js";
import { inspect } from "./files/inspect.js";
import { VERSION } from "./generated/version.js";

const USAGE = `Usage: fused-adam inspect FILE

Prints the tensors of a safetensors file, their shapes and norms; for a checkpoint also its steps and groups, and whether
its checksum is right. FILE may also be a folder that several processes have saved to: which shards it has, and whether
they are complete and their checksums right.

Options:
  -h, --help     print this text
  -v, --version  print the version

Exit code: 0 if the file is whole, 1 if it is damaged or cannot be read, 2 if the command is wrong.`;

async function main(args: readonly string[]): Promise<number> {
  const [command, file, ...rest] = args;
  if (args.some((arg) => arg === "--help" || arg === "-h")) {
    console.log(USAGE);
    return 0;
  }
  if (command === "--version" || command === "-v") {
    console.log(VERSION);
    return 0;
  }
  if (command !== "inspect") return misused("command", "inspect", command);
  if (file === undefined || rest.length > 0)
    return misused("inspect", "one FILE", file && `${args.length - 1} of them`);
  if (file.startsWith("-")) return misused("inspect", "a FILE (./ in front of a name that starts with -)", file);
  try {
    const { text, intact } = await inspect(file);
    console.log(text);
    return intact === false ? 1 : 0;
  } catch (error) {
    console.error((error as Error).message);
    return 1;
  }
}

function misused(label: string, expected: string, got = "nothing"): number {
  console.error(`"${label}": expected ${expected}, got ${visible(got)}\n\n${USAGE}`);
  return 2;
}

main(process.argv.slice(2)).then((code) => {
  process.exitCode = code;
});

// Two ranks save their shards, one completes the save, and all die at the n-th call that changes the disk; a write is half done then:
// `node crash.child.mjs DIRECTORY N`. Prints how many calls there were if it lives.
import fs from "node:fs/promises";
import { completeShards, saveShards } from "fused-adam/node";
import { trainedRanks } from "./crash.model.mjs";

const [directory, limit] = process.argv.slice(2);
let calls = 0;

function wrap(object, name, torn) {
  const original = object[name].bind(object);
  object[name] = async (...args) => {
    if (++calls === Number(limit)) {
      if (torn) await torn(original, ...args);
      process.kill(process.pid, "SIGKILL");
      await new Promise(() => {});
    }
    return original(...args);
  };
}

for (const name of ["rename", "rm", "mkdir"]) wrap(fs, name);
const { open } = fs;
fs.open = async (...args) => {
  const file = await open(...args);
  wrap(file, "write", (write, bytes, at) => write(bytes, at, Math.floor((bytes.length - at) / 2)));
  return file;
};

for (const [rank, optimizer] of trainedRanks(2).entries())
  await saveShards(directory, optimizer, { rank, ranks: 2, run: "new" });
await completeShards(directory);
console.log(calls);

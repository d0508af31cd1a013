// Saves a checkpoint and dies at the n-th call that reaches the disk: `node crash.child.mjs PATH N torn|before`.
import fs from "node:fs/promises";
import { saveCheckpointFile } from "fused-adam/node";
import { trained } from "./crash.model.mjs";

const [path, limit, mode] = process.argv.slice(2);
let calls = 0;

function wrap(object, name, torn) {
  const original = object[name].bind(object);
  object[name] = async (...args) => {
    if (++calls === Number(limit)) {
      if (mode === "torn" && torn) await torn(original, ...args);
      process.kill(process.pid, "SIGKILL");
      await new Promise(() => {});
    }
    return original(...args);
  };
}

wrap(fs, "open");
wrap(fs, "rename");
const { open } = fs;
fs.open = async (...args) => {
  const file = await open(...args);
  wrap(file, "write", (write, bytes, at) => write(bytes, at, Math.floor((bytes.length - at) / 2)));
  wrap(file, "sync");
  wrap(file, "close");
  return file;
};

await saveCheckpointFile(path, trained(2), { params: true });

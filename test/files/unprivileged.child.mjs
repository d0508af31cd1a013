// Saves as a user who may not do everything: `node unprivileged.child.mjs UMASK PATH…`. Prints what came of each, and the warnings.
import { loadCheckpointFile, saveCheckpointFile } from "fused-adam/node";
import { trained } from "./crash.model.mjs";

const [umask, ...paths] = process.argv.slice(2);
const NOBODY = 65534;
const optimizer = trained(1);
// What is to be imported has been: nobody else may be able to read it.
if (process.getuid() === 0) {
  process.setgroups([]);
  process.setgid(NOBODY);
  process.setuid(NOBODY);
}
process.umask(Number(umask));
const warnings = [];
console.warn = (...texts) => warnings.push(texts.join(" "));
const results = [];
for (const path of paths) {
  const result = { saved: "yes", readable: true };
  try {
    await saveCheckpointFile(path, optimizer);
  } catch ({ code, message, cause }) {
    result.saved = `${code} ${cause?.code}: ${message.replaceAll(path, "FILE")}`;
  }
  try {
    await loadCheckpointFile(path, optimizer);
  } catch {
    result.readable = false;
  }
  results.push(result);
}
console.log(JSON.stringify({ results, warnings, user: process.getuid() }));

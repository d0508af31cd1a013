// Packs two clean clones of HEAD, with different folder names, time zones, languages and umasks, and compares the bytes that
// `npm publish` would upload.
import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const work = mkdtempSync(join(tmpdir(), "fused-adam-pack-"));

const PLACES = [
  { folder: "a", umask: "022", env: { TZ: "UTC", LANG: "C", LC_ALL: "C" } },
  {
    folder: "a much longer name, with spaces, for the second one",
    umask: "077",
    env: { TZ: "Pacific/Chatham", LANG: "tr_TR.UTF-8", LC_ALL: "tr_TR.UTF-8", SOURCE_DATE_EPOCH: "1" },
  },
];

try {
  const packed = await Promise.all(PLACES.map(pack));
  for (const { file, bytes } of packed) {
    const digest = createHash("sha512").update(bytes).digest("base64");
    console.log(`${file}: ${bytes.length} bytes, sha512-${digest}`);
  }
  if (!packed[0].bytes.equals(packed[1].bytes)) {
    const [one, other] = packed.map(({ archive }) => listing(archive));
    for (const line of one) if (!other.includes(line)) console.error(`- ${line}`);
    for (const line of other) if (!one.includes(line)) console.error(`+ ${line}`);
    throw new Error("two clean clones pack different bytes");
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}

/** A clone with this one's node_modules: what is installed is for the lock file to keep the same. */
async function pack({ folder, umask, env }) {
  const clone = join(work, folder);
  const destination = mkdtempSync(join(work, "out-"));
  const script =
    'umask "$0" && git clone --quiet --no-hardlinks "$1" "$2" && ln -s "$1/node_modules" "$2/" && cd "$2" && npm pack --pack-destination "$3"';
  await run("sh", ["-c", script, umask, root.replace(/\/$/, ""), clone, destination], { ...process.env, ...env });
  const [file] = readdirSync(destination);
  const archive = join(destination, file);
  return { file, archive, bytes: readFileSync(archive) };
}

/** Mode, size and digest of every file of an archive. */
function listing(archive) {
  const digests = execFileSync("tar", ["-xf", archive, "--to-command", 'echo "$(sha1sum) $TAR_FILENAME"'], {
    encoding: "utf8",
  });
  const modes = execFileSync("tar", ["-tvf", archive], { encoding: "utf8" });
  return [...digests.split("\n"), ...modes.split("\n")];
}

/** Runs a command; its output is shown only if it fails. */
function run(command, args, env) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (output += data));
    child.on("error", reject);
    child.on("close", (code) => (code === 0 ? resolve() : reject(new Error(`exit code ${code}\n${output}`))));
  });
}

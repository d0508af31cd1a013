import { execFileSync } from "node:child_process";

/** What npm says when there is no registry to be reached. */
const UNREACHABLE =
  /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|ENOTCACHED|ERR_SOCKET_TIMEOUT|E50\d)\b/;

/** Installs what an example's lock file says. @returns why the registry could not be reached, if it could not */
export function installExample(folder: string): string | undefined {
  try {
    execFileSync("npm", ["ci", "--prefer-offline", "--fetch-retries=1"], {
      cwd: folder,
      encoding: "utf8",
      stdio: "pipe",
    });
    return undefined;
  } catch (error) {
    const code = UNREACHABLE.exec((error as { stderr: string }).stderr)?.[0];
    if (code === undefined) throw error;
    return `no npm registry: ${code}`;
  }
}

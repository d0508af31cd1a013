/** Debian's browsers, sent from page to page by the server; what runs a test file there is the page. */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { CHROMIUM, FLAGS } from "../support/chromium.js";
import type { FileResult } from "./engine/result.js";
import { pathOf, serveVisits, type Visit } from "./server.js";

export interface Browser {
  readonly name: string;
  readonly binary: string;
  /** What starts the binary, if it does not start by itself. */
  readonly starter?: readonly string[];
  readonly args: (profile: string, url: string) => string[];
  /** What a fresh profile is given. */
  readonly files?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
}

/** No first-run pages, no calls home. */
const FIREFOX = {
  "browser.shell.checkDefaultBrowser": false,
  "datareporting.policy.dataSubmissionEnabled": false,
  "toolkit.telemetry.reportingpolicy.firstRun": false,
  "app.normandy.enabled": false,
  "browser.aboutwelcome.enabled": false,
  "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false,
  "extensions.update.enabled": false,
  "browser.safebrowsing.downloads.remote.enabled": false,
  "services.settings.server": "data:,#remote-settings-dummy/v1",
};

export const BROWSERS: readonly Browser[] = [
  {
    name: "chromium",
    binary: CHROMIUM,
    args: (profile, url) => [...["--headless=new", "--disable-gpu", ...FLAGS], `--user-data-dir=${profile}`, url],
  },
  {
    name: "firefox",
    binary: "/usr/bin/firefox-esr",
    args: (profile, url) => ["--headless", "--no-remote", "--profile", profile, url],
    files: {
      "user.js": Object.entries(FIREFOX)
        .map(([key, value]) => `user_pref(${JSON.stringify(key)}, ${JSON.stringify(value)});\n`)
        .join(""),
    },
  },
  {
    // WebKitGTK's own browser, which has no headless mode: Xvfb is its display.
    name: "webkit",
    binary: `/usr/lib/${{ x64: "x86_64", arm64: "aarch64" }[process.arch as string]}-linux-gnu/webkit2gtk-4.1/MiniBrowser`,
    starter: ["/usr/bin/xvfb-run", "--auto-servernum"],
    args: (_, url) => ["--private", url],
    env: {
      // The sandbox needs rights that containers do not give.
      WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: "1",
      // An isolated page in Safari has SharedArrayBuffer; in WebKitGTK it needs this option.
      JSC_useSharedArrayBuffer: "1",
    },
  },
];

/** Milliseconds for a file of tests, of which most take seconds: for what hangs. */
const LONGEST = 600_000;
/** Milliseconds until a browser has asked for it. One that has not may have failed to start, and another is opened, once. */
const ARRIVAL = 60_000;

/** Runs all visits in order, in one browser as long as it answers. */
export async function runInBrowser(
  browser: Browser,
  suite: string,
  visits: readonly Visit[],
  report: (visit: Visit, result: FileResult) => void,
): Promise<void> {
  let next: number | undefined = 0;
  let arrived: number | undefined;
  let reopened: number | undefined;
  let heard = () => {};
  const server = await serveVisits(
    suite,
    visits,
    (i) => {
      arrived = i;
    },
    (i, result) => {
      // A page that was given up may still speak.
      if (i !== next) return undefined;
      report(visits[i]!, result);
      next = i + 1 < visits.length ? i + 1 : undefined;
      heard();
      return next;
    },
  );
  /** Whether a result comes in time. */
  const answer = (milliseconds: number): Promise<boolean> =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds, false);
      heard = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });
  while (next !== undefined) {
    const close = open(browser, server.url + pathOf(visits, next));
    while (next !== undefined) {
      const visit: number = next;
      if (await answer(ARRIVAL)) continue;
      if (arrived !== visit && reopened !== visit) {
        reopened = visit;
        break;
      }
      if (await answer(LONGEST - ARRIVAL)) continue;
      const missing = arrived === visit ? "no result" : "the page was not opened";
      report(visits[visit]!, { tests: [], error: `${missing} within ${LONGEST / 1000} s` });
      next = visit + 1 < visits.length ? visit + 1 : undefined;
      break;
    }
    await close();
  }
  server.close();
}

/** @returns what ends it */
function open({ binary, starter = [], args, files = {}, env }: Browser, url: string): () => Promise<void> {
  const profile = mkdtempSync(`${tmpdir()}/fused-adam-profile-`);
  for (const [name, text] of Object.entries(files)) writeFileSync(`${profile}/${name}`, text);
  // A group of its own: what it starts ends with it.
  const [command, ...rest] = [...starter, binary, ...args(profile, url)];
  const child = spawn(command!, rest, {
    stdio: "ignore",
    detached: true,
    env: { ...process.env, HOME: profile, ...env },
  });
  const closed = new Promise((resolve) => child.on("close", resolve));
  const end = () => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null)
      process.kill(-child.pid, "SIGKILL");
  };
  process.on("exit", end);
  return async () => {
    end();
    process.off("exit", end);
    await closed;
    rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  };
}

export function missing({ binary, starter = [] }: Browser): string | undefined {
  const path = [binary, ...starter.slice(0, 1)].find((path) => !existsSync(path));
  return path && `needs ${path}`;
}

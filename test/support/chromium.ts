/** Debian's Chromium, as all tests and examples of tests drive it. */
import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

export const CHROMIUM = "/usr/bin/chromium";

/** Why there are no tests in Chromium here, or undefined. */
export const noChromium = existsSync(CHROMIUM) ? undefined : `needs ${CHROMIUM}`;

/** No first-run pages, no calls home. */
export const FLAGS = [
  "--no-sandbox",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const NO_GPU = "--disable-gpu";

/** WebGPU and WebGL on a device in software, SwiftShader. */
const SOFTWARE_GPU = [
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
  "--use-angle=swiftshader",
  "--enable-unsafe-swiftshader",
];

export interface LaunchOptions {
  /** WebGPU too, in software; without it there is WebGL alone. Default false. */
  readonly gpu?: boolean;
  readonly args?: readonly string[];
}

export function launch({ gpu = false, args = [] }: LaunchOptions = {}): Promise<Browser> {
  return chromium.launch({
    executablePath: CHROMIUM,
    args: [...FLAGS, ...(gpu ? SOFTWARE_GPU : [NO_GPU]), ...args],
    // Playwright's own default.
    ignoreDefaultArgs: gpu ? [NO_GPU] : [],
  });
}

/** The recipes of docs/threads.md for cross-origin isolation, in the servers and the browser they are for. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createServer as createVite, preview } from "vite";
import { describe, expect, it } from "vitest";
import { noChromium } from "../support/chromium.js";
import { unless } from "../support/host.js";
import { recipe } from "../support/markdown.js";
import { stage } from "../support/pages.js";
import { root } from "../support/root.js";
import { scratchInPackage } from "../support/scratch.js";
import { type Answer, listen } from "../support/site.js";

const of = (name: string) => recipe("docs/threads.md", name);
const nginx = ["/usr/sbin/nginx", "/usr/bin/nginx"].find(existsSync);

/** The headers as the page states them, by which the recipes are measured. */
const HEADERS = of("headers")
  .trim()
  .split("\n")
  .map((line) => line.split(": ") as [string, string]);

const dir = scratchInPackage();
writeFileSync(join(dir, "index.html"), "<!doctype html><title>page</title>");

async function expectHeaders(url: string): Promise<void> {
  const response = await fetch(url);
  expect(response.status, url).toBe(200);
  for (const [name, value] of HEADERS) expect(response.headers.get(name), `${url}: ${name}`).toBe(value);
}

describe("servers send both headers", () => {
  it("two of them", () => {
    expect(HEADERS.map(([name]) => name)).toEqual(["Cross-Origin-Opener-Policy", "Cross-Origin-Embedder-Policy"]);
  });

  it("nginx", unless(nginx === undefined && "needs nginx"), async () => {
    // A port that was free a moment ago.
    const { port, close } = await listen(() => {});
    close();
    const block = of("nginx").replace("8080", `127.0.0.1:${port}`).replace("/var/www/html", dir);
    const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
      (name) => `${name}_temp_path ${dir}/${name};`,
    );
    const config = join(dir, "nginx.conf");
    const user = process.getuid?.() === 0 ? "user root;" : "";
    writeFileSync(
      config,
      `${user} pid ${dir}/nginx.pid; error_log stderr; events {} http { access_log off; ${temporary.join(" ")}\n${block}}`,
    );
    const flags = ["-p", dir, "-e", "stderr", "-c", config];
    execFileSync(nginx!, [...flags, "-t"], { stdio: "pipe" });
    const server: ChildProcess = spawn(nginx!, [...flags, "-g", "daemon off; master_process off;"], { stdio: "pipe" });
    try {
      await expect
        .poll(
          () =>
            fetch(`http://127.0.0.1:${port}/`).then(
              ({ ok }) => ok,
              () => false,
            ),
          { timeout: 120_000 },
        )
        .toBe(true);
      await expectHeaders(`http://127.0.0.1:${port}/`);
    } finally {
      const ended = new Promise((resolve) => server.once("exit", resolve));
      server.kill();
      await ended;
    }
  });

  it("Vite's development server and preview", async () => {
    const file = join(dir, "vite.config.ts");
    writeFileSync(file, of("vite"));
    const { default: config } = await import(file);
    const inline = { ...config, root: dir, configFile: false as const, logLevel: "silent" as const };
    const server = await createVite({ ...inline, server: { ...config.server, port: 0, watch: null } });
    await server.listen();
    try {
      await expectHeaders(server.resolvedUrls!.local[0]!);
    } finally {
      await server.close();
    }
    const previewed = await preview({ ...inline, build: { outDir: "." }, preview: { ...config.preview, port: 0 } });
    try {
      await expectHeaders(previewed.resolvedUrls!.local[0]!);
    } finally {
      await previewed.close();
    }
  });

  it("a middleware, in Connect", async () => {
    const vite = await createVite({
      root: dir,
      configFile: false,
      logLevel: "silent",
      server: { middlewareMode: true, ws: false },
    });
    const app = vite.middlewares;
    new Function("app", of("middleware"))({
      use: (middleware: never) => app.stack.unshift({ route: "", handle: middleware }),
    });
    const server = await listen(app);
    try {
      await expectHeaders(server.url);
    } finally {
      server.close();
      await vite.close();
    }
  });

  it("_headers: a path that matches all, and under it, indented, both headers", () => {
    const [path, ...lines] = of("headers-file").trimEnd().split("\n");
    expect(path).toBe("/*");
    expect(lines).toEqual(HEADERS.map((header) => `  ${header.join(": ")}`));
  });

  it("vercel.json: JSON, a source that matches all, both headers", () => {
    const { headers } = JSON.parse(of("vercel"));
    expect(headers).toHaveLength(1);
    for (const path of ["/", "/a.html", "/a/b.js"]) expect(path).toMatch(new RegExp(`^${headers[0].source}$`));
    expect(headers[0].headers).toEqual(HEADERS.map(([key, value]) => ({ key, value })));
  });
});

describe("Chromium", unless(noChromium), () => {
  const [csp, policy] = of("csp")
    .trim()
    .split(/: (.*)/) as [string, string];
  const strict = policy.replace(" 'wasm-unsafe-eval'", "").replace(" blob:", "");
  const html = "<!doctype html>";
  const isolated = (policy: string): Answer => ({
    body: html,
    headers: { ...Object.fromEntries(HEADERS), [csp]: policy },
  });
  const answers: Record<string, Answer> = {
    "/with": { body: html, headers: Object.fromEntries(HEADERS) },
    "/without": { body: html },
    "/isolate.js": { body: of("service-worker") },
    "/register.js": { body: of("register") },
    "/": { body: `${html}<script type="module" src="register.js"></script>` },
    "/open": { body: html, headers: { [csp]: policy } },
    "/strict": { body: html, headers: { [csp]: strict } },
    "/trusted": isolated(of("trusted-types").trim().split(": ")[1]!),
    "/untrusted": isolated("require-trusted-types-for 'script'; trusted-types another"),
    "/twice": isolated("require-trusted-types-for 'script'; trusted-types fused-adam 'allow-duplicates'"),
    "/fused-adam.js": { body: readFileSync(join(root, "dist/browser/fused-adam.mjs")) },
    "/copy.js": { body: readFileSync(join(root, "dist/browser/fused-adam.mjs")) },
  };
  const asked: string[] = [];
  const site = stage(async () => (path) => {
    asked.push(path);
    return answers[path] ?? { body: "", status: 404 };
  });

  it("isolates a page that comes with the headers, and none that comes without", async () => {
    const page = await site.browser.newPage();
    const isolated: boolean[] = [];
    for (const path of ["/with", "/without"]) {
      await page.goto(site.url + path);
      isolated.push(await page.evaluate("crossOriginIsolated"));
    }
    expect(isolated).toEqual([true, false]);
    await page.close();
  });

  it("the service worker isolates a page that comes without headers, after one reload and no more", async () => {
    const context = await site.browser.newContext();
    const page = await context.newPage();
    await page.goto(`${site.url}/`);
    await page.waitForFunction("crossOriginIsolated && document.readyState === 'complete'", undefined, {
      timeout: 120_000,
    });
    const bytes = await page.evaluate(
      "new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer.byteLength",
    );
    expect(bytes).toBe(65536);
    await page.waitForTimeout(300);
    expect(asked.filter((path) => path === "/")).toHaveLength(2);
    await context.close();
  });

  it("the policy allows compiling and workers from blob: URLs, and without it neither is", async () => {
    const page = await site.browser.newPage();
    const attempt = `(async () => {
      const compiled = await WebAssembly.compile(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0)).then(() => true, () => false);
      const answered = await new Promise((resolve) => {
        const worker = new Worker(URL.createObjectURL(new Blob(["postMessage(1)"], { type: "text/javascript" })));
        worker.onmessage = () => resolve(true);
        worker.onerror = () => resolve(false);
      }).catch(() => false);
      return [compiled, answered];
    })()`;
    const results: unknown[] = [];
    for (const path of ["/open", "/strict"]) {
      await page.goto(site.url + path);
      results.push(await page.evaluate(attempt));
    }
    expect(results).toEqual([
      [true, true],
      [false, false],
    ]);
    await page.close();
  });

  it("under Trusted Types two threads where the page lists the policy, and one after one warning where it does not", async () => {
    const page = await site.browser.newPage();
    const warnings: string[] = [];
    page.on("console", (message) => void (message.type() === "warning" && warnings.push(message.text())));
    const threads = `(async () => {
      const all = [];
      for (const path of ["/fused-adam.js", "/copy.js"]) {
        const { AdamW } = await import(path);
        const optimizer = await AdamW.create({ w: { shape: [100_000] } }, { threads: 2 });
        await optimizer.stepAsync();
        all.push(optimizer.threads);
      }
      return all;
    })()`;
    const warning = expect.stringMatching(/^fused-adam: .*trusted-types fused-adam/);
    for (const [path, counts, said] of [
      ["/trusted", [2, 1], [warning]],
      ["/untrusted", [1, 1], [warning, warning]],
      ["/twice", [2, 2], []],
    ] as const) {
      await page.goto(site.url + path);
      expect([await page.evaluate(threads), warnings.splice(0)], path).toEqual([counts, said]);
    }
    await page.close();
  });
});

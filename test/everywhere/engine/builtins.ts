import { absent } from "./absent.js";

type Module = Record<string, unknown>;

/** In workerd, Node's modules are there, but most of them are empty, and there are no files. */
const inWorkerd = globalThis.navigator?.userAgent === "Cloudflare-Workers";

/** The engine's own module of that name; in a browser what stands in for it, the rest absent. */
export function builtin(name: string): Module {
  const own = inWorkerd ? undefined : (globalThis.process?.getBuiltinModule?.(name) as Module | undefined);
  if (own !== undefined) return own;
  return new Proxy(STAND_INS[name] ?? {}, {
    get(standIn, key) {
      if (name === "node:process") absent(`process.${String(key)}`);
      // Can be constructed as well as called.
      return standIn[key as string] ?? absent.bind(undefined, `${name} ${String(key)}`);
    },
  });
}

/** The repository, as URLs in test files have it, and as the page's server serves it. */
declare const REPOSITORY: string;

const STAND_INS: Record<string, Module> = {
  "node:fs": { readFileSync },
  // Engine flags: there are none, and who needs what one gives finds it missing.
  "node:v8": { setFlagsFromString() {} },
  "node:vm": { runInNewContext },
};

function readFileSync(file: string | URL, encoding?: string): unknown {
  const url = String(file);
  if (inWorkerd || !url.startsWith(REPOSITORY)) absent(`node:fs readFileSync of ${url}`);
  const request = new XMLHttpRequest();
  // Of the visit that this page or worker belongs to: "/<number>/".
  const [visit] = /^\/\d+\//.exec(location.pathname)!;
  request.open("GET", `${visit}repository/${url.slice(REPOSITORY.length)}`, false);
  // The one way to bytes in a synchronous request on a main thread.
  request.overrideMimeType("text/plain; charset=x-user-defined");
  request.send();
  if (request.status !== 200) throw new Error(`${url}: ${request.status}`);
  const bytes = Buffer.from(request.responseText, "latin1");
  return encoding === undefined ? bytes : bytes.toString(encoding as BufferEncoding);
}

/** Another realm is another frame; workers have none. */
function runInNewContext(code: string): unknown {
  if (globalThis.document === undefined) absent("node:vm runInNewContext");
  const frame = document.createElement("iframe");
  document.body.append(frame);
  try {
    return (frame.contentWindow as unknown as typeof globalThis).eval(code);
  } catch (error) {
    // A policy without 'unsafe-eval'.
    if ((error as Error).name === "EvalError") absent("eval");
    throw error;
  }
}

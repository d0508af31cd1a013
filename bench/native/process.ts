import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";

const SOURCE = fileURLToPath(new URL("main.cc", import.meta.url));
const BINARY = fileURLToPath(new URL("../../build/native/adamw", import.meta.url));
const COMPILER = process.env.CXX ?? "g++";
const FLAGS = ["-O3", "-std=c++20", "-pthread"];

type Compiled = { readonly version: string } | { readonly reason: string };

let compiled: Compiled | undefined;

/** Compiles the native contender, once. Returns the compiler's version, or the reason why it could not. */
export function compileNative(): Compiled {
  compiled ??= compile();
  return compiled;
}

function compile(): Compiled {
  if (process.arch !== "x64") return { reason: `${process.arch} has no AVX2` };
  let compiler: string;
  try {
    compiler = execFileSync(COMPILER, ["--version"], { encoding: "utf8" }).split("\n")[0]!;
  } catch {
    return { reason: `no ${COMPILER} on this machine` };
  }
  mkdirSync(new URL("../../build/native/", import.meta.url), { recursive: true });
  execFileSync(COMPILER, [...FLAGS, "-o", BINARY, SOURCE], { stdio: "inherit" });
  const hello = execFileSync(BINARY, { input: "", encoding: "utf8" }).trim();
  return hello === "ready" ? { version: `${compiler}, ${FLAGS.join(" ")}, AVX2 and FMA` } : { reason: hello };
}

/** Processor time of native processes that have ended, in milliseconds. */
let spent = 0;
export const nativeCpu = () => spent;

type Piped = ChildProcess & { readonly stdin: Writable; readonly stdout: Readable };

/** The native contender, a process of its own that sleeps between commands. */
export class NativeProcess {
  readonly #child: Piped;
  readonly #chunks: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  private constructor() {
    this.#child = spawn(BINARY, { stdio: ["pipe", "pipe", "inherit"] }) as Piped;
    this.#chunks = this.#child.stdout[Symbol.asyncIterator]();
  }

  static async start(): Promise<NativeProcess> {
    const started = new NativeProcess();
    await started.#line();
    return started;
  }

  /** Sends a line and the bytes that belong to it; returns the line that comes back. */
  async ask(line: string, ...bytes: readonly Float32Array[]): Promise<string> {
    this.#send(line, bytes);
    return this.#line();
  }

  /** Sends a line whose answer is so many float32, and yields them as they arrive. */
  async *values(line: string, count: number): AsyncGenerator<Float32Array> {
    this.#send(line, []);
    for (let left = 4 * count; left > 0; ) {
      if (this.#rest.length < Math.min(4, left)) await this.#more();
      const take = Math.min(left, this.#rest.length - (this.#rest.length % 4));
      // A copy, because a chunk may start at an unaligned byte of its buffer.
      yield new Float32Array(new Uint8Array(this.#rest.subarray(0, take)).buffer);
      this.#rest = this.#rest.subarray(take);
      left -= take;
    }
  }

  async close(): Promise<void> {
    spent += Number(await this.ask("cpu"));
    this.#child.stdin.end();
    if (this.#child.exitCode === null) await once(this.#child, "exit");
  }

  #send(line: string, bytes: readonly Float32Array[]): void {
    this.#child.stdin.write(`${line}\n`);
    for (const { buffer, byteOffset, byteLength } of bytes) {
      this.#child.stdin.write(new Uint8Array(buffer, byteOffset, byteLength));
    }
  }

  async #line(): Promise<string> {
    let end = this.#rest.indexOf(10);
    while (end < 0) {
      await this.#more();
      end = this.#rest.indexOf(10);
    }
    const line = this.#rest.toString("latin1", 0, end);
    this.#rest = this.#rest.subarray(end + 1);
    return line;
  }

  async #more(): Promise<void> {
    const { value, done } = await this.#chunks.next();
    if (done) throw new Error(`"native": expected an answer, got the end of the process (${this.#child.exitCode})`);
    this.#rest = this.#rest.length === 0 ? value : Buffer.concat([this.#rest, value]);
  }
}

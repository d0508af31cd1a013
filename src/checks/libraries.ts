/*
 * Types that not every program has: it depends on TypeScript's version, and on the libraries (`lib`) that it is given. Declarations
 * that users read take them from here, and so need TypeScript 5.0, `lib: ["es2022"]` and nothing else.
 */

/** A Uint8Array whose memory is not shared. Only since 5.7 is there a `Uint8Array<ArrayBuffer>`, which is what this is then. */
export type Bytes = ReturnType<Uint8ArrayConstructor["of"]>;

/** The same for a Float32Array. */
export type Floats = ReturnType<Float32ArrayConstructor["of"]>;

/** `[Symbol.dispose]()`, for `using`; nothing where the libraries do not know that symbol. */
export type Disposing = SymbolConstructor extends { readonly dispose: infer Key extends symbol }
  ? { [K in Key]: () => void }
  : object;

/** In `lib: ["dom"]` and `["webworker"]`, but not among Node's types. */
type WebAssemblyNamespace = typeof globalThis extends { readonly WebAssembly: infer Namespace } ? Namespace : object;

/** `WebAssembly.Memory`; without its type, what is read of it. */
export type WasmMemory = WebAssemblyNamespace extends { readonly Memory: { readonly prototype: infer Memory } }
  ? Memory
  : { readonly buffer: ArrayBufferLike; grow(pages: number): number };

/** `WebAssembly.Module`; without its type, any object. */
export type WasmModule = WebAssemblyNamespace extends { readonly Module: { readonly prototype: infer Module } }
  ? Module
  : object;

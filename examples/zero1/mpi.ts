/**
 * The few functions of MPI that data-parallel training needs, from Debian's MPICH by way of koffi. They read and write the arrays that they
 * are given, which may lie in a WebAssembly memory. Each blocks until all ranks have called it; if one dies, MPI ends all.
 */
import koffi from "koffi";

// MPICH's handles are these integers. Open MPI's are pointers.
const WORLD = 0x44000000;
const FLOAT = 0x4c00040a;
const DOUBLE = 0x4c00080b;
const SUM = 0x58000003;

// UCX, by which Debian's MPICH sends, replaces the process's functions for memory to learn what is freed. V8 uses them from its first
// moment on and from several threads. With these replaced, some 5 % of runs crashed on one core; without, none of 100.
process.env.UCX_MEM_EVENTS ??= "no";
const library = koffi.load("libmpich.so.12");
const init = library.func("int MPI_Init(void *argc, void *argv)");
const commRank = library.func("int MPI_Comm_rank(int comm, _Out_ int *rank)");
const commSize = library.func("int MPI_Comm_size(int comm, _Out_ int *size)");
const reduceScatterInto = library.func(
  "int MPI_Reduce_scatter(void *send, void *receive, void *counts, int type, int operation, int comm)",
);
const allGatherInto = library.func(
  "int MPI_Allgatherv(void *send, int count, int type, void *receive, void *counts, void *starts, int receiveType, int comm)",
);
const synchronize = library.func("int MPI_Barrier(int comm)");
const finalizeAll = library.func("int MPI_Finalize()");

init(null, null);

function ask(of: (comm: number, result: number[]) => unknown): number {
  const result = [0];
  of(WORLD, result);
  return result[0]!;
}

/** Which of the processes this is, from 0 on. */
export const rank = ask(commRank);
export const ranks = ask(commSize);

/** How many of so many equal parts each rank has: the ranges of `rowsOf`, times `size`. */
function countsOf(rows: number, size: number): Int32Array {
  return Int32Array.from({ length: ranks }, (_, other) => {
    const [first, end] = rowsOf(rows, other);
    return (end - first) * size;
  });
}

/** The rows of a tensor that a rank owns, evenly. */
export function rowsOf(rows: number, owner = rank): [number, number] {
  const cut = (i: number) => Math.floor((rows * i) / ranks);
  return [cut(owner), cut(owner + 1)];
}

/** Adds up all ranks' `values`, of so many rows. Each rank gets the sums of its own rows. */
export function reduceScatter(values: Float32Array, own: Float32Array, rows: number): void {
  const counts = countsOf(rows, values.length / rows);
  reduceScatterInto(values, own, counts, FLOAT, SUM, WORLD);
}

/** The other way: every rank's rows, to all. */
export function allGather(own: Float32Array, values: Float32Array, rows: number): void {
  gather(own, values, countsOf(rows, values.length / rows), FLOAT);
}

/** One number of each rank, added in rank order, so that all ranks have the same sum. */
export function sumInOrder(value: number): number {
  const all = new Float64Array(ranks);
  gather(Float64Array.of(value), all, new Int32Array(ranks).fill(1), DOUBLE);
  return all.reduce((sum, each) => sum + each, 0);
}

function gather(own: Float32Array | Float64Array, all: Float32Array | Float64Array, counts: Int32Array, type: number) {
  let start = 0;
  const starts = counts.map((count) => {
    start += count;
    return start - count;
  });
  allGatherInto(own, own.length, type, all, counts, starts, type, WORLD);
}

export function barrier(): void {
  synchronize(WORLD);
}

export function finalize(): void {
  finalizeAll();
}

import type { ParamPointers } from "fused-adam";
import type { Dataset } from "./dataset.js";

/** What assembly/network.ts exports. Arguments are byte offsets, and a count. */
interface Exports {
  forward(network: number, examples: number, batch: number, count: number): void;
  backward(network: number, examples: number, batch: number, count: number): void;
}

/** Mean cross entropy, and the share of right answers. */
export interface Evaluation {
  readonly loss: number;
  readonly accuracy: number;
}

/** WebAssembly's addresses below this stay unused, so that none is 0. */
const FIRST_ADDRESS = 1024;
const PAGE = 65536;

const roundUp = (value: number, multiple: number) => Math.ceil(value / multiple) * multiple;

/** A network, its data and its gradients in one linear memory. The optimizer is created on `pointers` in that memory. */
export class Network {
  readonly memory: WebAssembly.Memory;
  readonly pointers: Record<"w1" | "w2", ParamPointers>;
  readonly #exports: Exports;
  readonly #padded: number;
  readonly #network: number;
  readonly #examples: number;
  readonly #batch: number;
  readonly #logits: number;
  readonly #data: Dataset;
  readonly #room: number;

  /**
   * @param module assembly/network.ts, compiled
   * @param hidden units of the layer in between, a multiple of 16
   * @param room how many examples a batch holds at most
   */
  constructor(module: WebAssembly.Module, data: Dataset, hidden: number, room: number) {
    if (hidden % 16 !== 0) throw new RangeError(`"hidden": expected a multiple of 16, got ${hidden}`);
    const { inputs, classes } = data;
    const padded = roundUp(classes, 8);
    const examples = roundUp(room, 4);
    const plan = new Plan();
    const w1 = pointersOf(plan, inputs * hidden);
    const w2 = pointersOf(plan, classes * hidden);
    const [activations, activationGrads] = [plan.floats(examples * hidden), plan.floats(examples * hidden)];
    const logits = plan.floats(examples * padded);
    const mask = plan.put(Float32Array.from({ length: padded }, (_, i) => (i < classes ? 0 : -Infinity)));
    const [w2Transposed, w2Product] = [plan.floats(hidden * padded), plan.floats(padded * hidden)];
    this.#network = plan.put(
      Uint32Array.of(
        ...[hidden, classes, padded, w1.param, w1.grad, w2.param, w2.grad],
        ...[activations, activationGrads, logits, mask, w2Transposed, w2Product],
      ),
    );
    const { starts, columns, values, labels } = data;
    this.#examples = plan.put(Uint32Array.from([starts, columns, values, labels], (array) => plan.put(array)));
    this.#batch = plan.floats(room);
    this.memory = plan.memory();
    this.pointers = { w1, w2 };
    this.#padded = padded;
    this.#logits = logits;
    this.#data = data;
    this.#room = room;
    const { exports } = new WebAssembly.Instance(module, { env: { memory: this.memory } });
    this.#exports = exports as unknown as Exports;
  }

  /** Adds the gradient of the mean cross entropy of the examples with these numbers. */
  gradients(batch: Uint32Array): void {
    this.#select(batch);
    this.#exports.forward(this.#network, this.#examples, this.#batch, batch.length);
    this.#exports.backward(this.#network, this.#examples, this.#batch, batch.length);
  }

  /** Over the examples with these numbers. Of equal logits the first is the answer; a NaN is none. */
  evaluate(numbers: Uint32Array): Evaluation {
    let [loss, right] = [0, 0];
    for (let first = 0; first < numbers.length; first += this.#room) {
      const batch = numbers.subarray(first, first + this.#room);
      this.#select(batch);
      this.#exports.forward(this.#network, this.#examples, this.#batch, batch.length);
      for (const [i, number] of batch.entries()) {
        const at = this.#logits + 4 * i * this.#padded;
        const logits = new Float32Array(this.memory.buffer, at, this.#data.classes);
        const label = this.#data.labels[number]!;
        const largest = Math.max(...logits);
        const sum = logits.reduce((total, logit) => total + Math.exp(logit - largest), 0);
        loss += largest + Math.log(sum) - logits[label]!;
        if (logits.indexOf(largest) === label) right++;
      }
    }
    return { loss: loss / numbers.length, accuracy: right / numbers.length };
  }

  #select(batch: Uint32Array): void {
    if (batch.length > this.#room)
      throw new RangeError(`"batch": expected at most ${this.#room} examples, got ${batch.length}`);
    new Uint32Array(this.memory.buffer, this.#batch, batch.length).set(batch);
  }
}

function pointersOf(plan: Plan, length: number): ParamPointers {
  const region = () => plan.floats(length);
  return { length, param: region(), grad: region(), expAvg: region(), expAvgSq: region() };
}

/** Gives out addresses, then makes the memory that has them. */
class Plan {
  #end = FIRST_ADDRESS;
  readonly #contents: { readonly address: number; readonly values: Float32Array | Uint32Array }[] = [];

  floats(length: number): number {
    const address = this.#end;
    this.#end = roundUp(address + 4 * length, 64);
    return address;
  }

  put(values: Float32Array | Uint32Array): number {
    const address = this.floats(values.length);
    this.#contents.push({ address, values });
    return address;
  }

  memory(): WebAssembly.Memory {
    const memory = new WebAssembly.Memory({ initial: Math.ceil(this.#end / PAGE) });
    for (const { address, values } of this.#contents) {
      new Uint8Array(memory.buffer).set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), address);
    }
    return memory;
  }
}

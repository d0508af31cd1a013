import { fail, failType, show } from "../../checks/errors.js";
import { addName, isRecord, sameShape } from "../../checks/values.js";
import type { NamedTensor, NamedTensorMap, Tensor, Tf, Variable } from "./types.js";

/** A variable and its gradient, if it has one this time. */
export interface Work {
  readonly variable: Variable;
  readonly gradient: Tensor | undefined;
}

export function isTensor(value: unknown): value is Tensor {
  return isRecord(value) && "dataId" in value && "shape" in value && "dtype" in value;
}

export function isVariable(tensor: Tensor): tensor is Variable {
  return "assign" in tensor;
}

/** Whether it can be used. `tf.disposeVariables()` takes variables out of the registry and does not tell them. */
export function inUse(tf: Tf, variable: Variable): boolean {
  return !variable.isDisposed && tf.engine().registeredVariables[variable.name] === variable;
}

/** Disposes of it once: tfjs counts out again what was gone. */
export function disposeVariable(tf: Tf, variable: Variable): void {
  if (inUse(tf, variable)) variable.dispose();
}

/** Gives the variable data of its own, with these values: whatever shared its data keeps that. */
export function assignValues(tf: Tf, variable: Variable, values: Float32Array): void {
  const fresh = tf.tensor(values, variable.shape, "float32");
  variable.assign(fresh);
  fresh.dispose();
}

/**
 * The argument of `applyGradients` in either form, checked.
 *
 * @throws TypeError for what is no float32 tensor, RangeError `ERR_SHAPE_MISMATCH`, `ERR_DUPLICATE_NAME`; Error
 * `ERR_UNKNOWN_NAME` for a variable that is not there (any more), `ERR_DISPOSED`
 */
export function readGradients(tf: Tf, gradients: NamedTensorMap | readonly NamedTensor[]): Work[] {
  const names = new Set<string>();
  const variables = tf.engine().registeredVariables;
  return entriesOf(gradients).flatMap(([name, gradient]): Work[] => {
    const label = `gradients.${name}`;
    addName("gradients", names, name);
    const variable = Object.hasOwn(variables, name) ? variables[name]! : undefined;
    if (variable === undefined) {
      fail(Error, "ERR_UNKNOWN_NAME", "gradients", "names of variables that are in use", show(name));
    }
    if (gradient === undefined || gradient === null) {
      return variable.dtype === "float32" ? [{ variable, gradient: undefined }] : [];
    }
    if (!isTensor(gradient)) failType(label, "a tensor", gradient);
    if (gradient.isDisposed) fail(Error, "ERR_DISPOSED", label, "a tensor that is in use", "a disposed one");
    for (const { dtype } of [variable, gradient]) {
      if (dtype !== "float32") fail(TypeError, "ERR_INVALID_TYPE", label, "float32 variable and gradient", dtype);
    }
    if (!sameShape(gradient.shape, variable.shape)) {
      fail(RangeError, "ERR_SHAPE_MISMATCH", label, `shape [${variable.shape}]`, `[${gradient.shape}]`);
    }
    return [{ variable, gradient }];
  });
}

function entriesOf(gradients: NamedTensorMap | readonly NamedTensor[]): (readonly [string, unknown])[] {
  if (Array.isArray(gradients)) {
    return Array.from(gradients, (entry: unknown, i) => {
      const { name, tensor } = isRecord(entry) ? (entry as Partial<NamedTensor>) : {};
      if (typeof name !== "string") failType(`gradients[${i}]`, "{ name, tensor }", entry);
      return [name, tensor] as const;
    });
  }
  if (!isRecord(gradients)) failType("gradients", "tensors by name or an array of { name, tensor }", gradients);
  return Object.entries(gradients);
}

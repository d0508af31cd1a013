import { addition } from "./addition.js";
import { digits } from "./digits.js";
import { spam } from "./spam.js";
import type { Task } from "./task.js";

/** Reading their data takes a second or two, so they are made when they are needed. */
export const TASKS = {
  addition,
  "spam, counts": () => spam("counts"),
  "spam, words present": () => spam("binary"),
  digits,
} satisfies Record<string, () => Task>;

export type TaskName = keyof typeof TASKS;

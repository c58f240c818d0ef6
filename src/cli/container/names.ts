import { randomInt } from "node:crypto";

const adjectives = [
  ...[
    "amber",
    "brave",
    "brisk",
    "calm",
    "clever",
    "copper",
    "crisp",
    "eager",
    "early",
    "fair",
    "fleet",
    "gentle",
    "glad",
  ],
  ...["golden", "grand", "happy", "hidden", "humble", "keen", "kind", "lively", "lucky", "mellow", "merry", "mighty"],
  ...["modest", "neat", "nimble", "noble", "patient", "plain", "proud", "quick", "quiet", "rapid", "ready", "scarlet"],
  ...["sharp", "silent", "silver", "sincere", "sleek", "smooth", "sober", "steady", "sturdy", "sunny", "swift", "tidy"],
  ...["upbeat", "vivid", "warm", "wise", "witty", "young", "zealous"],
];
const nouns = [
  ...["acorn", "badger", "beech", "birch", "brook", "cedar", "clover", "comet", "cricket", "crow", "dolphin", "elm"],
  ...["falcon", "fern", "finch", "forest", "fox", "gecko", "glacier", "hare", "harbor", "hawk", "heron", "island"],
  ...["ivy", "jaguar", "juniper", "kestrel", "lagoon", "lark", "lynx", "maple", "marten", "meadow", "moss", "newt"],
  ...[
    "oak",
    "orchid",
    "otter",
    "owl",
    "pebble",
    "pine",
    "puffin",
    "quail",
    "raven",
    "reef",
    "river",
    "robin",
    "salmon",
  ],
  ...["spruce", "stork", "swan", "thistle", "thrush", "tulip", "turtle", "valley", "walnut", "willow", "wren"],
];

/** A name for a container that was given none; after some failed attempts with a number, as names are few and containers may be many. */
export function randomName(attempt: number): string {
  const pick = (words: readonly string[]): string => words[randomInt(words.length)] ?? "";
  const name = `${pick(adjectives)}_${pick(nouns)}`;
  return attempt < 3 ? name : `${name}${randomInt(10 ** Math.min(attempt, 9))}`;
}

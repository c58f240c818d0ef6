import { UsageError } from "../exit.js";

/** The keys that end `attach` and leave the container alone, unless others are given. */
export const usualKeys = "ctrl-p,ctrl-q";

/** The bytes of a list of keys, commas between: one character, or `ctrl-` with `a` to `z` or one of `@[\]^_`. Throws UsageError. */
function bytesOfKeys(list: string): Buffer {
  const bytes = list.split(",").map((key) => {
    const control = /^ctrl-([a-z@[\\\]^_])$/.exec(key)?.[1];
    if (control !== undefined) return control.toUpperCase().charCodeAt(0) & 0x1f;
    if (/^[\x21-\x7e]$/.test(key)) return key.charCodeAt(0);
    throw new UsageError(`--detach-keys takes characters and ctrl-LETTER, commas between, not ${JSON.stringify(list)}`);
  });
  return Buffer.from(bytes);
}

/** Looks for a sequence of keys in what is typed, and takes it out. */
export class DetachKeys {
  private readonly keys: Buffer;
  /** How many of the keys have just been typed, and are held back. */
  private held = 0;

  constructor(list: string) {
    this.keys = bytesOfKeys(list);
  }

  /** What is to be handed on of what has been typed; undefined once all of the keys have been, one after the other. */
  push(typed: Buffer): Buffer | undefined {
    const passed: number[] = [];
    for (const byte of typed) {
      while (byte !== this.keys[this.held] && this.held > 0) {
        // Another sequence may have begun in what is held back.
        const next = this.restart();
        passed.push(...this.keys.subarray(0, this.held - next));
        this.held = next;
      }
      if (byte !== this.keys[this.held]) passed.push(byte);
      else if (++this.held === this.keys.length) return undefined;
    }
    return Buffer.from(passed);
  }

  /** How many of the last keys that are held back are the first ones, fewer than all of them. */
  private restart(): number {
    const held = this.keys.subarray(0, this.held);
    for (let length = this.held - 1; length > 0; length--) {
      if (held.subarray(this.held - length).equals(this.keys.subarray(0, length))) return length;
    }
    return 0;
  }
}

/** Paths are bytes, held in latin1 strings (one character, one byte); only people read text. */

/** A byte string as text for people: its UTF-8 meaning, with U+FFFD where it has none. */
export function shown(bytes: string): string {
  return Buffer.from(bytes, "latin1").toString("utf8");
}

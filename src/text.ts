/** Paths are bytes, held in latin1 strings (one character, one byte); only people read text. */

/** What is UTF-8 in a byte string, sequence by sequence; or, as the first group, a byte that is not (Unicode 15, table 3-7). */
const sequences =
  /[\0-\x7f]+|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}|([\x80-\xff])/g;

/** A byte string as text that loses nothing: `standIn` says what stands for a byte that is not UTF-8. */
export function shownWhole(bytes: string, standIn: (byte: number) => string): string {
  return bytes.replace(sequences, (known: string, other: string | undefined) =>
    other === undefined ? shown(known) : standIn(other.charCodeAt(0)),
  );
}

/** A byte string as text for people: its UTF-8 meaning, with U+FFFD where it has none. */
export function shown(bytes: string): string {
  return Buffer.from(bytes, "latin1").toString("utf8");
}

/** Text as the bytes of its UTF-8, for the kernel. */
export function bytesOf(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

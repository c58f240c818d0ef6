/** Words of a Dockerfile: quotes, escapes and variables, by the rules of its reference. */
import { StoreError } from "../store/error.js";

/** What a variable stands for; undefined if it is not set. */
export type Lookup = (name: string) => string | undefined;

/** The words of a line, quotes and escapes still in them: blanks in quotes part no words. Throws StoreError. */
export function splitWords(text: string, escapeChar: string): string[] {
  const words: string[] = [];
  let word = "";
  let quote = "";
  for (let at = 0; at < text.length; at++) {
    const letter = text[at] as string;
    if (quote === "" && /\s/.test(letter)) {
      if (word !== "") words.push(word);
      word = "";
      continue;
    }
    word += letter;
    if (letter === escapeChar && quote !== "'" && at + 1 < text.length) word += text[++at] as string;
    else if (quote === "" && (letter === "'" || letter === '"')) quote = letter;
    else if (letter === quote) quote = "";
  }
  if (quote !== "") throw new StoreError(`the quote ${quote} is not closed`);
  if (word !== "") words.push(word);
  return words;
}

/** One word with its quotes taken away, its escapes resolved, and values in the place of its variables. Throws StoreError. */
export function expand(word: string, lookup: Lookup, escapeChar: string): string {
  return new Expansion(word, lookup, escapeChar).all();
}

/** Text in which only variables are replaced: quotes stay. An escaped `$` is one. */
export function expandText(text: string, lookup: Lookup, escapeChar: string): string {
  return new Expansion(text, lookup, escapeChar, true).all();
}

class Expansion {
  private at = 0;

  constructor(
    private readonly text: string,
    private readonly lookup: Lookup,
    private readonly escapeChar: string,
    private readonly keepsQuotes = false,
  ) {}

  all(): string {
    return this.until("");
  }

  /** Up to a character that stands outside of quotes, which is passed over; or to the end, if it is empty. */
  private until(stop: string): string {
    let result = "";
    for (; this.at < this.text.length; ) {
      const letter = this.text[this.at] as string;
      if (letter === stop) {
        this.at++;
        return result;
      }
      if (letter === "$") result += this.variable();
      else if (letter === this.escapeChar) result += this.escaped();
      else if (letter === "'" && !this.keepsQuotes) result += this.literal();
      else if (letter === '"' && !this.keepsQuotes) result += this.quoted();
      else {
        result += letter;
        this.at++;
      }
    }
    if (stop !== "") throw new StoreError(`${JSON.stringify(this.text)}: ${stop} is missing`);
    return result;
  }

  /** What is escaped stands for itself; in text whose quotes are kept, only what would be a variable otherwise. */
  private escaped(): string {
    const next = this.text[this.at + 1] ?? "";
    const keeps = next === "" || (this.keepsQuotes && next !== "$" && next !== this.escapeChar);
    this.at += 2;
    return keeps ? this.escapeChar + next : next;
  }

  private literal(): string {
    const end = this.text.indexOf("'", this.at + 1);
    if (end < 0) throw new StoreError(`${JSON.stringify(this.text)}: the quote ' is not closed`);
    const inside = this.text.slice(this.at + 1, end);
    this.at = end + 1;
    return inside;
  }

  private quoted(): string {
    let result = "";
    this.at++;
    for (; this.at < this.text.length; ) {
      const letter = this.text[this.at] as string;
      if (letter === '"') {
        this.at++;
        return result;
      }
      if (letter === "$") {
        result += this.variable();
        continue;
      }
      const next = this.text[this.at + 1] ?? "";
      const isEscape = letter === this.escapeChar && (next === '"' || next === "$" || next === this.escapeChar);
      result += isEscape ? next : letter;
      this.at += isEscape ? 2 : 1;
    }
    throw new StoreError(`${JSON.stringify(this.text)}: the quote " is not closed`);
  }

  /** `$name`, `${name}`, `${name:-word}` and its like. */
  private variable(): string {
    this.at++;
    if (this.text[this.at] !== "{") {
      const name = this.name();
      return name === "" ? "$" : (this.lookup(name) ?? "");
    }
    this.at++;
    const name = this.name();
    const fault = (why: string): StoreError => new StoreError(`${JSON.stringify(this.text)}: ${why}`);
    if (name === "") throw fault("a name must follow ${");
    const value = this.lookup(name);
    if (this.text[this.at] === "}") {
      this.at++;
      return value ?? "";
    }
    const colon = this.text[this.at] === ":";
    if (colon) this.at++;
    const modifier = this.text[this.at] ?? "";
    if (!/^[-+?]$/.test(modifier)) {
      throw fault(
        `\${${name} takes } or one of :- :+ :? - + ?, and ${modifier === "" ? "ends" : `${modifier} stands`} there`,
      );
    }
    this.at++;
    const word = this.until("}");
    const isSet = colon ? value !== undefined && value !== "" : value !== undefined;
    if (modifier === "+") return isSet ? word : "";
    if (isSet) return value ?? "";
    if (modifier === "?") throw fault(`${name} is not set${word === "" ? "" : `: ${word}`}`);
    return word;
  }

  private name(): string {
    const name = /^(?:[A-Za-z_][A-Za-z0-9_]*|[0-9@*#])/.exec(this.text.slice(this.at))?.[0] ?? "";
    this.at += name.length;
    return name;
  }
}

import { TemplateError } from "./error.js";
import { pieces, type Token } from "./lex.js";

/** A value: a constant, the dot, a variable or a pipeline in parentheses, each with fields after it; or the name of a function. */
export interface Operand {
  readonly base:
    | { readonly kind: "constant"; readonly value: unknown }
    | { readonly kind: "dot" }
    | { readonly kind: "variable"; readonly name: string }
    | { readonly kind: "function"; readonly name: string }
    | { readonly kind: "pipeline"; readonly pipeline: Pipeline };
  readonly fields: readonly string[];
}

/** Commands, each a list of operands; the value of one is the last argument of the next. */
export interface Pipeline {
  readonly variables: readonly string[];
  /** `$x = …` changes a variable, `$x := …` makes one. */
  readonly declares: boolean;
  readonly commands: readonly (readonly Operand[])[];
}

export type Node =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "print"; readonly pipeline: Pipeline }
  | {
      readonly kind: "if" | "with" | "range";
      readonly pipeline: Pipeline;
      readonly body: Node[];
      readonly otherwise: Node[];
    }
  | { readonly kind: "break" | "continue" };

interface Block {
  readonly kind: "if" | "with" | "range";
  readonly pipeline: Pipeline;
  readonly body: Node[];
  readonly otherwise: Node[];
  /** An `{{else if}}` is a block within its predecessor, and ends with it. */
  readonly chained: boolean;
  inElse: boolean;
}

/** Reads a Go template. Throws TemplateError. */
export function parse(template: string): Node[] {
  const top: Node[] = [];
  const blocks: Block[] = [];
  const current = (): Node[] => {
    const block = blocks.at(-1);
    if (block === undefined) return top;
    return block.inElse ? block.otherwise : block.body;
  };
  const open = (kind: Block["kind"], pipeline: Pipeline, chained: boolean): void => {
    const block: Block = { kind, pipeline, body: [], otherwise: [], chained, inElse: false };
    current().push(block);
    blocks.push(block);
  };
  for (const piece of pieces(template)) {
    if (piece.kind === "text") {
      current().push(piece);
      continue;
    }
    const reader = new Reader(piece.tokens, piece.source);
    const word = reader.keyword();
    if (word === "if" || word === "with" || word === "range") open(word, reader.pipeline(), false);
    else if (word === "end") {
      reader.expectEnd();
      if (blocks.length === 0) throw new TemplateError("{{end}} without a beginning");
      while (blocks.pop()?.chained === true);
    } else if (word === "else") {
      const block = blocks.at(-1);
      if (block === undefined || block.inElse) throw new TemplateError("{{else}} without a beginning");
      block.inElse = true;
      const chained = reader.keyword();
      if (chained === "if" || chained === "with") open(chained, reader.pipeline(), true);
      else reader.expectEnd();
    } else if (word === "break" || word === "continue") {
      reader.expectEnd();
      if (!blocks.some(({ kind }) => kind === "range")) throw new TemplateError(`{{${word}}} outside of {{range}}`);
      current().push({ kind: word });
    } else current().push({ kind: "print", pipeline: reader.pipeline() });
  }
  const open_ = blocks.at(-1);
  if (open_ !== undefined) throw new TemplateError(`{{${open_.kind}}} has no {{end}}`);
  return top;
}

const keywords = new Set(["if", "with", "range", "end", "else", "break", "continue", "define", "template", "block"]);

class Reader {
  #at = 0;

  constructor(
    private readonly tokens: readonly Token[],
    private readonly source: string,
  ) {}

  #peek(): Token | undefined {
    return this.tokens[this.#at];
  }

  /** Whether a sign comes next; it is passed then. */
  #sign(text: string): boolean {
    const token = this.#peek();
    if (token?.kind !== "sign" || token.text !== text) return false;
    this.#at++;
    return true;
  }

  #fail(): never {
    const token = this.#peek();
    throw new TemplateError(
      `unexpected ${token === undefined ? "end" : JSON.stringify(token.text)} in ${JSON.stringify(this.source)}`,
    );
  }

  keyword(): string | undefined {
    const token = this.#peek();
    if (token?.kind !== "word" || !keywords.has(token.text)) return undefined;
    if (["define", "template", "block"].includes(token.text)) {
      throw new TemplateError(`{{${token.text}}} is not known here: text, fields, functions, if, with and range are`);
    }
    this.#at++;
    return token.text;
  }

  expectEnd(): void {
    if (this.#peek() !== undefined) this.#fail();
  }

  pipeline(): Pipeline {
    const result = this.#pipeline();
    this.expectEnd();
    return result;
  }

  #pipeline(): Pipeline {
    const { variables, declares } = this.#assigned();
    const commands = [this.#command()];
    while (this.#sign("|")) commands.push(this.#command());
    return { variables, declares, commands };
  }

  /** `$x :=`, `$i, $x :=` or `$x =`, if that is what comes. */
  #assigned(): { variables: string[]; declares: boolean } {
    const variables: string[] = [];
    const start = this.#at;
    while (this.#peek()?.kind === "variable") {
      variables.push(this.#peek()?.text ?? "");
      this.#at++;
      if (!this.#sign(",")) break;
    }
    if (variables.length > 0 && this.#sign(":=")) return { variables, declares: true };
    if (variables.length > 0 && this.#sign("=")) return { variables, declares: false };
    this.#at = start;
    return { variables: [], declares: false };
  }

  #command(): Operand[] {
    const operands: Operand[] = [];
    for (;;) {
      const token = this.#peek();
      if (token === undefined || (token.kind === "sign" && token.text !== "(")) break;
      operands.push(this.#operand());
    }
    if (operands.length === 0) this.#fail();
    return operands;
  }

  #operand(): Operand {
    const token = this.#peek() as Token;
    const base = this.#base(token);
    // What follows a field without a space is a field of it.
    const fields = base.kind === "dot" && token.text !== "" ? [token.text] : [];
    for (;;) {
      const next = this.#peek();
      if (next?.kind !== "field" || next.spaced || next.text === "") break;
      fields.push(next.text);
      this.#at++;
    }
    return { base, fields };
  }

  #base(token: Token): Operand["base"] {
    if (token.kind === "sign") {
      if (!this.#sign("(")) this.#fail();
      const pipeline = this.#pipeline();
      if (!this.#sign(")")) this.#fail();
      return { kind: "pipeline", pipeline };
    }
    this.#at++;
    if (token.kind === "field") return { kind: "dot" };
    if (token.kind === "variable") return { kind: "variable", name: token.text };
    if (token.kind === "string") return { kind: "constant", value: token.text };
    if (token.kind === "number") return { kind: "constant", value: Number(token.text) };
    const constants: Record<string, unknown> = { true: true, false: false, nil: null };
    if (Object.hasOwn(constants, token.text)) return { kind: "constant", value: constants[token.text] };
    return { kind: "function", name: token.text };
  }
}

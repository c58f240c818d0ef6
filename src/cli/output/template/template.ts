import { TemplateError } from "./error.js";
import { functions } from "./functions.js";
import { type Node, type Operand, type Pipeline, parse } from "./parse.js";
import { describe, field, isObject, isTrue, text } from "./values.js";

/** A Go template, ready to be filled in. */
export interface Template {
  /** The text for one value. Throws TemplateError. */
  fill(value: unknown): string;
}

/** Reads a Go template: text and actions in `{{ }}`, as text/template knows them, with Docker's functions. Throws TemplateError. */
export function compile(source: string): Template {
  const nodes = parse(source);
  return {
    fill: (value) => {
      const run = new Run();
      run.all(nodes, value, { parent: undefined, variables: new Map([["$", value]]) });
      return run.output;
    },
  };
}

interface Scope {
  readonly parent: Scope | undefined;
  readonly variables: Map<string, unknown>;
}

const within = (parent: Scope): Scope => ({ parent, variables: new Map() });

/** One filling-in. Values are data, not Go's: their methods are functions among the fields, called with the arguments that follow. */
class Run {
  output = "";

  /** Returns what made it stop before the end of the list, if anything. */
  all(nodes: readonly Node[], dot: unknown, scope: Scope): "break" | "continue" | undefined {
    for (const node of nodes) {
      const stop = this.#one(node, dot, scope);
      if (stop !== undefined) return stop;
    }
    return undefined;
  }

  #one(node: Node, dot: unknown, scope: Scope): "break" | "continue" | undefined {
    switch (node.kind) {
      case "text":
        this.output += node.text;
        return undefined;
      case "print": {
        const value = this.#pipeline(node.pipeline, dot, scope);
        if (node.pipeline.variables.length === 0) this.output += text(value);
        return undefined;
      }
      case "break":
      case "continue":
        return node.kind;
      case "range":
        return this.#range(node, dot, scope);
      default: {
        const inner = within(scope);
        const value = this.#pipeline(node.pipeline, dot, inner);
        if (!isTrue(value)) return this.all(node.otherwise, dot, inner);
        return this.all(node.body, node.kind === "with" ? value : dot, inner);
      }
    }
  }

  #range(node: Extract<Node, { body: Node[] }>, dot: unknown, scope: Scope): "break" | "continue" | undefined {
    const { variables } = node.pipeline;
    const value = this.#pipeline({ ...node.pipeline, variables: [] }, dot, scope);
    const entries = entriesOf(value);
    if (entries.length === 0) return this.all(node.otherwise, dot, within(scope));
    for (const [key, element] of entries) {
      const inner = within(scope);
      const named = variables.length === 2 ? [key, element] : [element];
      for (const [i, name] of variables.entries()) inner.variables.set(name, named[i]);
      if (this.all(node.body, element, inner) === "break") break;
    }
    return undefined;
  }

  #pipeline({ variables, declares, commands }: Pipeline, dot: unknown, scope: Scope): unknown {
    let value: unknown;
    for (const [i, command] of commands.entries()) value = this.#command(command, dot, scope, i > 0 ? [value] : []);
    for (const name of variables) {
      let target: Scope | undefined = scope;
      while (!declares && target !== undefined && !target.variables.has(name)) target = target.parent;
      if (target === undefined) throw new TemplateError(`the variable ${name} is not declared: ${name} := … does so`);
      target.variables.set(name, value);
    }
    return value;
  }

  /** `piped`: what comes out of the command before, which is the last argument. */
  #command(operands: readonly Operand[], dot: unknown, scope: Scope, piped: readonly unknown[]): unknown {
    const [first, ...rest] = operands as [Operand, ...Operand[]];
    const { base } = first;
    const values = (): unknown[] => [...rest.map((operand) => this.#operand(operand, dot, scope)), ...piped];
    if (base.kind === "function" && (base.name === "and" || base.name === "or")) {
      return this.#shortCircuit(base.name, rest, dot, scope, piped);
    }
    if (base.kind === "function") return called(base.name)(...values());
    const value = this.#operand(first, dot, scope, false);
    if (typeof value === "function") return value(...values());
    if (rest.length > 0 || piped.length > 0)
      throw new TemplateError(`${shownOperand(first)} is ${describe(value)}, and takes no arguments`);
    return value;
  }

  /** What need not be looked at is not: `and .Config .Config.User`. */
  #shortCircuit(
    name: "and" | "or",
    operands: readonly Operand[],
    dot: unknown,
    scope: Scope,
    piped: readonly unknown[],
  ): unknown {
    let value: unknown;
    for (const operand of operands) {
      value = this.#operand(operand, dot, scope);
      if (isTrue(value) === (name === "or")) return value;
    }
    return piped.length > 0 ? piped[0] : value;
  }

  #operand({ base, fields }: Operand, dot: unknown, scope: Scope, isArgument = true): unknown {
    let value = this.#base(base, dot, scope);
    let path = base.kind === "variable" ? base.name : "";
    for (const [i, name] of fields.entries()) {
      value = field(value, name, path);
      path += `.${name}`;
      if (typeof value === "function" && (isArgument || i < fields.length - 1)) value = value();
    }
    return value;
  }

  #base(base: Operand["base"], dot: unknown, scope: Scope): unknown {
    switch (base.kind) {
      case "constant":
        return base.value;
      case "dot":
        return dot;
      case "pipeline":
        return this.#pipeline(base.pipeline, dot, scope);
      case "function":
        return called(base.name)();
      case "variable":
        for (let at: Scope | undefined = scope; at !== undefined; at = at.parent) {
          if (at.variables.has(base.name)) return at.variables.get(base.name);
        }
        throw new TemplateError(`the variable ${base.name} is not declared`);
    }
  }
}

function called(name: string): (...values: readonly unknown[]) => unknown {
  const found = Object.hasOwn(functions, name) ? functions[name] : undefined;
  if (found !== undefined) return found;
  throw new TemplateError(
    `unknown function ${name} (a field begins with a dot: .${name}): there are ${Object.keys(functions).sort().join(" ")}`,
  );
}

function entriesOf(value: unknown): [unknown, unknown][] {
  if (value === null || value === undefined) return [];
  if (Array.isArray(value)) return [...value.entries()];
  if (isObject(value))
    return Object.keys(value)
      .sort()
      .map((key) => [key, value[key]]);
  if (typeof value === "number") return Array.from({ length: value }, (_, i) => [i, i]);
  throw new TemplateError(`range wants a list or object, not ${describe(value)}`);
}

function shownOperand({ base, fields }: Operand): string {
  const start = base.kind === "variable" ? base.name : base.kind === "constant" ? text(base.value) : "";
  return `${start}${fields.map((name) => `.${name}`).join("")}` || ".";
}

import type { Command } from "commander";

/** What commander makes of the options that `ls`-like commands share; each has those it was given. */
export interface ListOptions {
  readonly format?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
  /** False after `--no-trunc`. */
  readonly trunc?: boolean;
  readonly filter?: string[];
}

/** For an option that may be repeated. */
export function collect(value: string, previous: string[] | undefined): string[] {
  return [...(previous ?? []), value];
}

/** Declares `--format`, `--json`, `-q`, `--no-trunc` and, if there are filters, `-f, --filter`. */
export function addListOptions(command: Command, filters: readonly string[] = []): Command {
  command
    .option("--format <template>", "table (default), json (a line each), a Go template, or 'table TEMPLATE'")
    .option("--json", "an array of objects, for machines")
    .option("-q, --quiet", "only ids or names")
    .option("--no-trunc", "ids and commands as long as they are");
  if (filters.length > 0) {
    const known = filters.map((name) => `${name}=`).join(", ");
    command.option("-f, --filter <filter>", `only what matches: ${known}; may be repeated`, collect);
  }
  return command;
}

/** Declares `--format` as `inspect`-like commands have it. */
export function addInspectOptions(command: Command): Command {
  return command
    .option("-f, --format <template>", "json, or a Go template: {{.Id}}, {{json .Config}}, {{range .X}}…{{end}}")
    .option("--json", "JSON, whatever --format says (default)");
}

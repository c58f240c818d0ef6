import { print, UsageError } from "../exit.js";
import { colours } from "./colours.js";
import type { ListOptions } from "./options.js";
import { cell, table } from "./table.js";
import { compile } from "./template/template.js";

/** One thing that can be shown of a row: `{{.ID}}`, in a column of its own in tables. */
export interface Field<Row> {
  readonly header: string;
  /** Text for people, or a value that a template can look into. */
  readonly of: (row: Row) => unknown;
  /** What templates may call, such as `{{.Label "key"}}`: in tables made of a template only. */
  readonly isMethod?: boolean;
}

/** How a command shows its rows. */
export interface View<Row> {
  /** By the name that templates use, in the order of `--format json`. */
  readonly fields: Readonly<Record<string, Field<Row>>>;
  /** The columns of the table. */
  readonly columns: readonly string[];
  /** What `-q` shows. */
  readonly quiet: string;
  /** What `--json` has of a row: numbers as numbers, times in ISO 8601. */
  readonly object: (row: Row) => unknown;
}

/** Prints rows as the options say: a table, ids only, a template for each, or JSON. Throws UsageError. */
export function printList<Row>(rows: readonly Row[], view: View<Row>, options: ListOptions): void {
  print(listText(rows, view, options, colours().bold));
}

/** What `printList` prints. `heading` decorates the first line of a table. */
export function listText<Row>(
  rows: readonly Row[],
  view: View<Row>,
  options: ListOptions,
  heading: (text: string) => string = (text) => text,
): string {
  const { format = "table", json, quiet } = options;
  const chosen = [json === true && "--json", options.format !== undefined && "--format"].filter(Boolean);
  if (chosen.length > 1) throw new UsageError("--json and --format exclude each other");
  if (json === true) return `${JSON.stringify(rows.map(view.object), null, 2)}\n`;
  const filled = rows.map((row) => values(view, row));
  if (quiet === true && (options.format === undefined || format === "table")) {
    return filled.map((row) => `${row[view.quiet]}\n`).join("");
  }
  if (format === "json") return filled.map((row) => `${JSON.stringify(row)}\n`).join("");
  if (format === "table")
    return tableText([headers(view), ...filled].map((row) => view.columns.map((name) => row[name])));
  const isTable = /^table\s/.test(format);
  // As Docker: a shell that does not know \t passes it on.
  const template = compile(
    (isTable ? format.slice(6).trimStart() : format).replaceAll("\\t", "\t").replaceAll("\\n", "\n"),
  );
  if (!isTable) return filled.map((row) => ended(template.fill(row))).join("");
  return tableText([headers(view), ...filled].map((row) => template.fill(row).split("\t")));

  function tableText(cells: readonly (readonly unknown[])[]): string {
    const text = table(cells.map((row) => row.map((value) => cell(String(value)))));
    const end = text.indexOf("\n");
    return heading(text.slice(0, end)) + text.slice(end);
  }
}

function ended(text: string): string {
  return text.endsWith("\n") ? text : `${text}\n`;
}

function values<Row>(view: View<Row>, row: Row): Record<string, unknown> {
  return Object.fromEntries(Object.entries(view.fields).map(([name, field]) => [name, field.of(row)]));
}

/** The row that a template turns into the heading: each field is its own header, and a method answers with its argument. */
function headers<Row>(view: View<Row>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(view.fields).map(([name, { header, isMethod }]) => [
      name,
      isMethod === true ? (key: unknown) => String(key) : header,
    ]),
  );
}

/** Prints objects as `inspect` does: a JSON array, or a line for each by a template. Throws UsageError. */
export function printObjects(objects: readonly unknown[], options: { format?: string; json?: boolean }): void {
  print(objectsText(objects, options));
}

/** What `printObjects` prints. */
export function objectsText(
  objects: readonly unknown[],
  { format, json }: { format?: string; json?: boolean },
): string {
  if (format !== undefined && json === true) throw new UsageError("--json and --format exclude each other");
  if (format === undefined || json === true) return `${JSON.stringify(objects, null, 4)}\n`;
  if (format === "json") return objects.map((object) => `${JSON.stringify(object)}\n`).join("");
  const template = compile(format);
  return objects.map((object) => ended(template.fill(object))).join("");
}

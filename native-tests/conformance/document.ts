import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { release } from "node:os";
import { fileURLToPath } from "node:url";
import { type Difference, differencesOf } from "./compare.js";
import { type ConformanceCase, columns } from "./table.js";

const file = fileURLToPath(new URL("../../docs/conformance.md", import.meta.url));
/** What comes after this line is written by hand, and stays. */
const byHand = "<!-- Generated up to here; what follows is written by hand. -->";
/** So many differences of a case are shown; the number of all of them is in the table of its theme. */
const shownDifferences = 8;

/** A case, and what was not the same on all columns. */
export interface Reported {
  readonly theme: string;
  readonly one: ConformanceCase;
  readonly found: readonly Difference[];
}

const kernel = release().split(".").slice(0, 2).join(".");
const titles = columns.map(({ title }) => title);
const cowfs = columns.findIndex(({ kind }) => kind === "cowfs");
const others = columns.map((_, index) => index).slice(1);

/** One line of a table. What could be taken for markup is shown as it is. */
function row(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  return [row(head), row(head.map(() => "---")), ...rows.map(row), ""];
}

/** Bytes as they can be read in a cell. */
function quoted(text: string, limit = 110): string {
  const printable = text
    .replace(/[^\x20-\x7e]/g, (c) => (c === "\n" ? "⏎" : `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`))
    .replaceAll("|", "¦")
    .replaceAll("`", "'");
  const short = printable.length > limit ? `${printable.slice(0, limit)}…` : printable;
  return `\`${short}\``;
}

function verdict(found: readonly Difference[], column: number): string {
  const count = differencesOf(found, column).length;
  return count === 0 ? "same" : `${count} differ${count === 1 ? "s" : ""}`;
}

function details(found: readonly Difference[]): string[] {
  const rows = found.slice(0, shownDifferences).map(({ what, answers }) => {
    return [
      quoted(what, 90),
      ...answers.map((answer, index) => (index > 0 && answer === answers[0] ? "same" : quoted(answer))),
    ];
  });
  const more = found.length - rows.length;
  return [
    ...table(["step", ...titles], rows),
    ...(more > 0 ? [`${more} more of this kind ${more === 1 ? "is" : "are"} left out.`, ""] : []),
  ];
}

function head(reported: readonly Reported[]): string[] {
  return [
    "# Conformance",
    "",
    "<!-- Written by scripts/conformance from what the suite found. Do not edit. -->",
    "",
    `The ${reported.length} cases of \`native-tests/conformance/\` are layers and steps: system calls, one after the other, by one or several processes. Each runs in a plain directory that`,
    "holds what the union should show, on kernel overlayfs with its default options, on kernel overlayfs with all of them, and on cowfs. Compared are the answer of each step and",
    "the final tree (types, modes, owners, links, sizes, times, contents, extended attributes), before and after a remount.",
    "",
    "How to read it:",
    "",
    "- **native**: the plain directory. What it answers is right by definition.",
    "- **overlayfs**: `redirect_dir=follow,index=off,metacopy=off,xino=off`, the defaults of a kernel that nobody has configured otherwise.",
    "- **overlayfs, all options**: `redirect_dir=on,index=on,metacopy=on,xino=auto`.",
    "- **cowfs**: its defaults.",
    "- **same**: every answer and the final tree are as in the plain directory. **N differ**: so many are not. Each difference is then shown side by side. One may bring others with it: what",
    "  could not be renamed is missing in the steps that follow.",
    "- In the answers, `ok` is success without a result, a name like `EXDEV` the error, and `not $x` a number (of an inode, for example) that is not the one a step before it has found.",
    "  Lines of a final tree say type, mode, owner, `n` links, `s` size, `m` time, and a digest of the content.",
    "- A difference of cowfs without a stated reason fails the suite, and so does a stated one that no longer occurs, or this document if it is not what the run gives.",
    "",
    `Kernel: Linux ${kernel}. Of the columns of kernel overlayfs nothing is demanded on another kernel.`,
    "",
  ];
}

function byTheme(reported: readonly Reported[]): [string, Reported[]][] {
  const found = new Map<string, Reported[]>();
  for (const one of reported) {
    found.set(one.theme, [...(found.get(one.theme) ?? []), one]);
  }
  return [...found];
}

/** Of how many cases each column differs. */
function counts(list: readonly Reported[]): string[] {
  return [
    String(list.length),
    ...others.map((column) => String(list.filter(({ found }) => differencesOf(found, column).length > 0).length)),
  ];
}

function render(reported: readonly Reported[]): string {
  const groups = byTheme(reported);
  const lines = head(reported);
  lines.push("## Cases that differ from native", "");
  lines.push(
    ...table(
      ["theme", "cases", ...titles.slice(1)],
      [...groups.map(([title, list]) => [title, ...counts(list)]), ["**all**", ...counts(reported)]],
    ),
  );
  lines.push("## Where cowfs is not as a native directory", "");
  const own = reported.filter(({ one }) => one.differs !== undefined);
  if (own.length === 0) {
    lines.push("Nowhere in these cases.", "");
  }
  for (const { theme, one, found } of own) {
    lines.push(`### ${theme}: ${one.name}`, "", `Reason: ${one.differs}.`, "", ...details(differencesOf(found, cowfs)));
  }
  lines.push("## What users of union file systems complain about", "");
  const complaints = reported.filter(({ one }) => one.complaint !== undefined);
  lines.push(
    ...table(
      ["complaint", "case", ...titles.slice(1)],
      complaints.map(({ theme, one, found }) => [
        one.complaint ?? "",
        `${theme}: ${one.name}`,
        ...others.map((column) => verdict(found, column)),
      ]),
    ),
  );
  lines.push("## All cases", "");
  for (const [title, list] of groups) {
    lines.push(`### ${title}`, "");
    lines.push(
      ...table(
        ["case", "steps", ...titles.slice(1)],
        list.map(({ one, found }) => [
          one.name,
          String(stepsOf(one)),
          ...others.map((column) => verdict(found, column)),
        ]),
      ),
    );
    for (const { one, found } of list.filter((entry) => entry.found.length > 0)) {
      lines.push(`#### ${one.name}`, "");
      if (one.overlay !== undefined) {
        lines.push(`overlayfs: ${one.overlay}.`, "");
      }
      lines.push(...details(found));
    }
  }
  return `${lines.join("\n").trimEnd()}\n\n${byHand}\n`;
}

const stepsOf = (one: ConformanceCase): number =>
  one.steps.split("\n").filter((line) => line.trim() !== "" && !line.trim().startsWith("#")).length;

/** What of a document does not depend on how the kernel's own overlayfs behaves: under each heading, the last column and what it is compared with. */
function withoutOverlay(text: string): string {
  let heading = "";
  const kept: string[] = [];
  for (const line of text.split("\n")) {
    if (line.startsWith("#")) {
      heading = line;
    } else if (line.startsWith("| ")) {
      const cells = line.slice(2, -2).split(" | ");
      const [what, native, last] = [cells[0], cells[1], cells.at(-1)];
      if (last !== "same") {
        kept.push(`${heading} ${what}: ${native} / ${last}`);
      }
    } else if (line.startsWith("Reason: ")) {
      kept.push(`${heading} ${line}`);
    }
  }
  return kept.join("\n");
}

/** The first lines that are not the same. */
function firstDifference(committed: string, found: string): string {
  const [before, after] = [committed.split("\n"), found.split("\n")];
  const at = after.findIndex((line, index) => line !== before[index]);
  const around = at < 0 ? after.length : at;
  return [
    "docs/conformance.md is not what this run gives; if that is right, run scripts/conformance and commit it. The first difference:",
    `  - ${before.slice(around, around + 3).join("\n  - ")}`,
    `  + ${after.slice(around, around + 3).join("\n  + ")}`,
  ].join("\n");
}

/** Compares the committed document with what a run found; writes it where COWFS_WRITE_CONFORMANCE asks for that. Answers what is wrong. */
export function checkDocument(reported: readonly Reported[]): string {
  const committed = existsSync(file) ? readFileSync(file, "utf8") : "";
  const [generated = "", rest = ""] = committed.split(`${byHand}\n`);
  const found = render(reported);
  if (process.env["COWFS_WRITE_CONFORMANCE"] !== undefined) {
    writeFileSync(file, found + rest);
    return "";
  }
  const before = `${generated}${byHand}\n`;
  // Kernel overlayfs does not always answer the same (inode numbers that meet by chance), nor every kernel.
  const [own, ownFound] = [withoutOverlay(before), withoutOverlay(found)];
  return own === ownFound ? "" : firstDifference(own, ownFound);
}

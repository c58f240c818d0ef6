import type { Outcome } from "./run.js";

/** One thing that is not the same on all columns; the answers are in the order of the columns. */
export interface Difference {
  readonly what: string;
  readonly answers: readonly string[];
}

/** What differs from the first outcome in at least one of the others. */
export function differences(outcomes: readonly Outcome[]): Difference[] {
  const [native] = outcomes;
  const found: Difference[] = [];
  const note = (what: string, answers: readonly string[]): void => {
    if (answers.some((answer) => answer !== answers[0])) {
      found.push({ what, answers });
    }
  };
  for (const [index, line] of (native?.lines ?? []).entries()) {
    note(
      line.what,
      outcomes.map((outcome) => outcome.lines[index]?.answer ?? "absent"),
    );
  }
  const paths = new Set(outcomes.flatMap((outcome) => Object.keys(outcome.tree)));
  for (const path of [...paths].sort()) {
    // A line about the tree after a remount is there only where it is another than before.
    const before = path.replace(/ after a remount$/, "");
    note(
      `final tree: ${path}`,
      outcomes.map((outcome) => outcome.tree[path] ?? outcome.tree[before] ?? "absent"),
    );
  }
  return found;
}

/** The differences of one column from the first. */
export function differencesOf(all: readonly Difference[], column: number): Difference[] {
  return all.filter(({ answers }) => answers[column] !== answers[0]);
}

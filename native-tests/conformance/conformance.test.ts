import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ioPolicy } from "../harness/mounts.js";
import { type Difference, differences, differencesOf } from "./compare.js";
import { checkDocument, type Reported } from "./document.js";
import { runTheme, type ThemeOutcome } from "./run.js";
import { type ConformanceCase, columns, type Theme } from "./table.js";
import { themes } from "./themes.js";

/** Only cases whose theme or name has this text. */
const wanted = process.env["CONFORMANCE_CASES"] ?? "";
const cowfs = columns.findIndex(({ kind }) => kind === "cowfs");
const reported: Reported[] = [];

function selected(theme: Theme): Theme {
  const list = theme.cases.filter((one) => `${theme.title} · ${one.name}`.includes(wanted));
  return { ...theme, cases: list };
}

for (const theme of themes.map(selected).filter(({ cases }) => cases.length > 0)) {
  describe(theme.title, () => {
    let outcomes: ThemeOutcome[] = [];
    beforeAll(async () => {
      outcomes = await Promise.all(columns.map((column) => runTheme(theme, column)));
    }, 300_000);

    test("the file systems hold out", () => {
      const failures = outcomes.flatMap((outcome, index) =>
        outcome.failures.map((failure) => `${columns[index]?.title}: ${failure}`),
      );
      expect(failures).toEqual([]);
    });

    for (const [index, one] of theme.cases.entries()) {
      test(one.name, () => {
        const results = outcomes.map((outcome) => outcome.cases[index] ?? { lines: [], tree: {}, failures: [] });
        const found = differences(results);
        reported.push({ theme: theme.title, one, found });
        const complaints = [...results.flatMap(({ failures }) => failures), ...judge(one, differencesOf(found, cowfs))];
        expect(complaints.join("\n"), one.name).toBe("");
      });
    }
  });
}

/** What is wrong with the differences between cowfs and the native directory. */
function judge(one: ConformanceCase, found: readonly Difference[]): string[] {
  const reason = one.differs ?? (ioPolicy === "passthrough" || ioPolicy === "cached" ? one[ioPolicy] : undefined);
  if (reason === undefined) {
    return found.map(
      ({ what, answers }) => `${what}\n    native: ${answers[0]}\n    cowfs:  ${answers[cowfs]?.slice(0, 1_000)}`,
    );
  }
  return found.length > 0 ? [] : [`it is said to differ (${reason}), and does not`];
}

const special = ioPolicy ?? process.env["COWFS_TEST_OPTIONS"] ?? process.env["COWFS_TEST_PROGRAM"];

describe.skipIf(wanted !== "" || special !== undefined)("the document", () => {
  afterAll(() => reported.splice(0));

  test("docs/conformance.md is what this run gives (scripts/conformance writes it)", () => {
    expect(checkDocument(reported)).toBe("");
  });
});

import { expect, test } from "vitest";
import { age, duration } from "./age.js";
import { bar } from "./bar.js";
import { hasColours } from "./colours.js";
import { booleanFilter, hasLabels, parseFilters, timeFilter } from "./filters.js";
import { listText, objectsText, type View } from "./list.js";
import { size } from "./size.js";
import { cell, table } from "./table.js";

test.each([
  [0, "0B"],
  [999, "999B"],
  [1000, "1kB"],
  [1234, "1.234kB"],
  [72_800_000, "72.8MB"],
  [72_793_210, "72.79MB"],
  [999_999, "1MB"],
  [5e12, "5TB"],
])("the size of %d bytes", (bytes, text) => {
  expect(size(bytes)).toBe(text);
});

test("sizes of three digits", () => {
  expect(size(72_793_210, 3)).toBe("72.8MB");
  expect(size(999_600, 3)).toBe("1MB");
});

test.each([
  [0.5, "Less than a second"],
  [1, "1 second"],
  [59, "59 seconds"],
  [60, "About a minute"],
  [150, "2 minutes"],
  [3600, "About an hour"],
  [7200, "2 hours"],
  [47 * 3600, "47 hours"],
  [3 * 86400, "3 days"],
  [20 * 86400, "2 weeks"],
  [90 * 86400, "3 months"],
  [800 * 86400, "2 years"],
])("%d seconds", (seconds, text) => {
  expect(duration(seconds * 1000)).toBe(text);
});

test("ages", () => {
  expect(age("2026-01-01T00:00:00Z", Date.parse("2026-01-01T02:00:00Z"))).toBe("2 hours ago");
  expect(age("2026-01-01T00:00:09Z", Date.parse("2026-01-01T00:00:00Z"))).toBe("Less than a second ago");
  expect([age(undefined), age("never"), age("0001-01-01T00:00:00Z")]).toEqual(["N/A", "N/A", "N/A"]);
});

test("columns are as wide as what the terminal shows", () => {
  expect(
    table([
      ["NAME", "SIZE"],
      ["日本語のイメージ", "1B"],
      ["\u001b[1mbold\u001b[22m", "2B"],
      ["e\u0301", "3B"],
    ]).replaceAll("\u001b", "^"),
  ).toBe(
    [
      "NAME               SIZE",
      "日本語のイメージ   1B",
      "^[1mbold^[22m               2B",
      "e\u0301                  3B",
      "",
    ].join("\n"),
  );
  expect(cell("a\n\u001b[2J")).toBe("a\\x0a\\x1b[2J");
});

test("bars", () => {
  const utf8 = { LANG: "C.UTF-8" };
  const solid = (value: number) => [{ value, fill: "solid" as const }];
  expect(bar(solid(1), 2, 8, utf8)).toBe("████    ");
  expect(bar(solid(1), 3, 8, utf8)).toBe("██▋     ");
  expect(bar(solid(1), 1e9, 4, utf8)).toBe("▏   ");
  expect(bar(solid(0), 5, 4, utf8)).toBe("    ");
  expect(bar(solid(5), 5, 4, {})).toBe("####");
  expect(bar([...solid(2), { value: 2, fill: "shaded" }], 4, 8, utf8)).toBe("████░░░░");
  expect(bar([...solid(2), { value: 1, fill: "shaded" }], 4, 8, {})).toBe("####::  ");
});

test("colours are for terminals", () => {
  expect(hasColours({ isTTY: true }, { TERM: "xterm" })).toBe(true);
  expect(hasColours({ isTTY: true }, { TERM: "xterm", NO_COLOR: "1" })).toBe(false);
  expect(hasColours({ isTTY: true }, { TERM: "dumb" })).toBe(false);
  expect(hasColours({}, { TERM: "xterm" })).toBe(false);
});

test("filters", () => {
  const filters = parseFilters(["label=a=b", "label=c", "dangling=true"], ["label", "dangling"]);
  expect(filters.get("label")).toEqual(["a=b", "c"]);
  expect(booleanFilter(filters, "dangling")).toBe(true);
  expect(hasLabels({ a: "b", c: "" }, filters.get("label"))).toBe(true);
  expect(hasLabels({ a: "x", c: "" }, filters.get("label"))).toBe(false);
  expect(hasLabels(null, undefined)).toBe(true);
  expect(() => parseFilters(["colour=red"], ["label", "dangling"])).toThrow(
    'unknown filter "colour=red": known are label=, dangling=',
  );
  expect(() => parseFilters(["label"], ["label"])).toThrow(/needs a value/);
  expect(() => booleanFilter(parseFilters(["d=maybe"], ["d"]), "d")).toThrow(/true or false/);
  expect(timeFilter("until", "1h30m", 1e10)).toBe(1e10 - 5_400_000);
  expect(timeFilter("until", "100")).toBe(100_000);
  expect(() => timeFilter("until", "soon")).toThrow(/no time/);
});

interface Row {
  readonly id: string;
  readonly labels: Record<string, string>;
}
const rows: Row[] = [
  { id: "one", labels: { k: "v" } },
  { id: "two", labels: {} },
];
const view: View<Row> = {
  fields: {
    ID: { header: "THE ID", of: ({ id }) => id },
    Count: { header: "COUNT", of: ({ labels }) => Object.keys(labels).length },
    Label: {
      header: "",
      of:
        ({ labels }) =>
        (key: unknown) =>
          labels[String(key)] ?? "",
      isMethod: true,
    },
  },
  columns: ["ID", "Count"],
  quiet: "ID",
  object: ({ id, labels }) => ({ id, labels }),
};

test.each([
  [{}, "THE ID    COUNT\none       1\ntwo       0\n"],
  [{ quiet: true }, "one\ntwo\n"],
  [{ format: "{{.ID}}: {{.Count}}" }, "one: 1\ntwo: 0\n"],
  [{ format: "{{println .ID}}" }, "one\ntwo\n"],
  [
    { format: 'table {{.Count}}\\t{{.ID}}\\t{{.Label "k"}}' },
    "COUNT     THE ID    k\n1         one       v\n0         two\n",
  ],
  [{ format: "json" }, '{"ID":"one","Count":1}\n{"ID":"two","Count":0}\n'],
])("a list with %j", (options, text) => {
  expect(listText(rows, view, options)).toBe(text);
});

test("a list as JSON, and objects", () => {
  expect(JSON.parse(listText(rows, view, { json: true }))).toEqual(rows);
  expect(() => listText(rows, view, { json: true, format: "x" })).toThrow(/exclude/);
  expect(objectsText([{ Id: 1 }], {})).toBe('[\n    {\n        "Id": 1\n    }\n]\n');
  expect(objectsText([{ Id: 1 }, { Id: 2 }], { format: "{{.Id}}" })).toBe("1\n2\n");
});

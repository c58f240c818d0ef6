import { expect, test } from "vitest";
import { compile } from "./template.js";

const value = {
  ID: "abc",
  Names: ["web", "db"],
  Size: 5,
  Running: false,
  Config: { Labels: { "com.x": "1", plain: "2" }, Env: [], User: "" },
  Mounts: [
    { Source: "/a", RW: true },
    { Source: "/b", RW: false },
  ],
  Label: (key: unknown) => (key === "k" ? "v" : ""),
  Nothing: null,
};

test.each([
  ["{{.ID}}", "abc"],
  ["<{{ .ID }}>", "<abc>"],
  ["a {{- .ID -}} b", "aabcb"],
  ["{{/* said */}}x", "x"],
  ["{{json .Names}}", '["web","db"]'],
  ["{{.Names | json | upper}}", '["WEB","DB"]'],
  ['{{join .Names ", "}}', "web, db"],
  ["{{.Names}}", "[web db]"],
  ["{{len .Names}} {{len .ID}}", "2 3"],
  ["{{index .Names 1}}", "db"],
  ['{{index .Config.Labels "com.x"}}', "1"],
  ["{{.Config.Labels.plain}} {{.Config.Labels.missing}}", "2 <no value>"],
  ["{{.Config.Labels}}", "map[com.x:1 plain:2]"],
  ["{{range .Names}}<{{.}}>{{end}}", "<web><db>"],
  ["{{range $i, $n := .Names}}{{$i}}={{$n}} {{end}}", "0=web 1=db "],
  ["{{range $k, $v := .Config.Labels}}{{$k}}={{$v}};{{end}}", "com.x=1;plain=2;"],
  ["{{range .Config.Env}}x{{else}}none{{end}}", "none"],
  ['{{range .Names}}{{if eq . "db"}}{{break}}{{end}}{{.}}{{end}}', "web"],
  ["{{range .Mounts}}{{if not .RW}}{{continue}}{{end}}{{.Source}}{{end}}", "/a"],
  ["{{range .Mounts}}{{.Source}}:{{$.ID}} {{end}}", "/a:abc /b:abc "],
  ["{{if .Running}}up{{else if .Names}}named{{else}}no{{end}}", "named"],
  ["{{with .Config.User}}{{.}}{{else}}root{{end}}", "root"],
  ["{{with .Config}}{{len .Labels}}{{end}}", "2"],
  ["{{if and .ID (gt .Size 3)}}big{{end}}", "big"],
  ['{{if or (eq .ID "x" "abc") .Running}}yes{{end}}', "yes"],
  ["{{$x := .ID}}{{$x}}{{range .Names}}{{$x = .}}{{end}}{{$x}}", "abcdb"],
  ["{{(index .Mounts 1).Source}}", "/b"],
  ['{{.Label "k"}}|{{"k" | .Label}}', "v|v"],
  ['{{printf "%-5s|%3d|%q|%v|%%" .ID .Size .ID .Names}}', 'abc  |  5|"abc"|[web db]|%'],
  ["{{println .ID}}", "abc\n"],
  ['{{"a\\tb"}}{{`c\\t`}}', "a\tbc\\t"],
  ["{{.ID | title | lower | upper}}", "ABC"],
  ["{{truncate .ID 2}}{{pad .ID 1 2}}", "ab abc  "],
  ['{{split "a,b" ","}}', "[a b]"],
  ["{{.Nothing}} {{true}} {{1.5}}", "<nil> true 1.5"],
  ["{{.Nothing.Deeper}}", "<no value>"],
  ["{{slice .ID 1}}{{slice .ID 0 1}}", "bca"],
])("%s", (template, expected) => {
  expect(compile(template).fill(value)).toBe(expected);
});

test.each([
  ["{{.Id}}", /unknown field \.Id: there are \.ID \.Names/],
  ["{{.Config.Envv}}", /unknown field \.Config\.Envv: there are \.Labels \.Env/],
  ["{{range .Mounts}}{{.Sauce}}{{end}}", /unknown field \.Sauce: there are \.Source \.RW/],
  ["{{.ID.X}}", /\.ID has no fields/],
  ["{{ID}}", /unknown function ID .*: \.ID/],
  ["{{.ID", /}} is missing/],
  ["{{if .ID}}x", /\{\{if}} has no \{\{end}}/],
  ["{{end}}", /without a beginning/],
  ["{{else}}", /without a beginning/],
  ["{{.ID .Size}}", /takes no arguments/],
  ["{{$x}}", /\$x is not declared/],
  ["{{range .ID}}{{end}}", /range wants/],
  ["{{index .Names 7}}", /out of range/],
  ['{{join .ID ","}}', /join wants a list/],
  ["{{'a'}}", /double quotes/],
  ["{{.ID | }}", /unexpected end/],
  ["{{(.ID}}", /unexpected end/],
  ["{{.ID!}}", /unexpected "!"/],
  ['{{template "x"}}', /not known here/],
])("%s is refused", (template, message) => {
  expect(() => compile(template).fill(value)).toThrow(message);
});

test("a template that is not to be filled is still read to its end", () => {
  expect(() => compile("{{if}}{{end}}")).toThrow(/unexpected end/);
});

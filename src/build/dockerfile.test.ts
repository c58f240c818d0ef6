import { describe, expect, it } from "vitest";
import { parseDockerfile, parseNested } from "./dockerfile.js";
import { planBuild } from "./plan.js";

const parse = (text: string) => parseDockerfile(text, "Dockerfile");
const plan = (text: string, args: Record<string, string> = {}, target?: string) =>
  planBuild(parse(text), new Map(Object.entries(args)), target);

describe("a Dockerfile", () => {
  it("has statements with lines, flags and what they say", () => {
    const { statements } = parse(
      [
        "# comment",
        "from busybox",
        "",
        "RUN a \\",
        "  # between",
        "",
        "  && b",
        "copy --chown=1:2 --link x y",
        'CMD ["a"]',
      ].join("\r\n"),
    );
    expect(statements.map(({ line, keyword, flags, rest }) => [line, keyword, flags, rest])).toEqual([
      [2, "FROM", [], "busybox"],
      [4, "RUN", [], "a   && b"],
      [
        8,
        "COPY",
        [
          ["chown", "1:2"],
          ["link", undefined],
        ],
        "x y",
      ],
      [9, "CMD", [], '["a"]'],
    ]);
  });

  it("may name another escape character", () => {
    const { statements, escapeChar } = parse("# escape=`\nFROM x\nRUN dir `\n c:\\\nRUN y");
    expect(escapeChar).toBe("`");
    expect(statements.map(({ rest }) => rest)).toEqual(["x", "dir  c:\\", "y"]);
  });

  it("has here-documents", () => {
    const { statements } = parse(
      "FROM x\nRUN <<EOF\na \\\n# b\nEOF\nCOPY <<-'A' <<B /dst/\n\tone $x\n\tA\n$two\nB\nRUN cat <<E >/f\nin\nE\n",
    );
    expect(
      statements.map(({ keyword, rest, heredocs }) => [
        keyword,
        rest,
        heredocs.map(({ name, content, expands }) => [name, content, expands]),
      ]),
    ).toEqual([
      ["FROM", "x", []],
      ["RUN", "<<EOF", [["EOF", "a \\\n# b\n", true]]],
      [
        "COPY",
        "<<-'A' <<B /dst/",
        [
          ["A", "one $x\n", false],
          ["B", "$two\n", true],
        ],
      ],
      ["RUN", "cat <<E >/f", [["E", "in\n", true]]],
    ]);
  });

  it.each([
    ["FROM x\n\nFETCH y", /^Dockerfile:3: FETCH y: FETCH is no instruction: there are ADD, /],
    ["FROM x\nRUN", /^Dockerfile:2: RUN: RUN takes at least one argument/],
    ["FROM x\nRUN <<EOF\na", /^Dockerfile:2: .*a line EOF must end/],
    ["# nothing", /has no instructions/],
    ["RUN x", /^Dockerfile:1: RUN x: only ARG may stand before/],
    ["ARG a", /FROM is missing/],
    ["FROM a b", /FROM takes IMAGE, or IMAGE AS NAME/],
    ["FROM a AS 1", /the stage name 1 is invalid/],
    ["FROM $none", /the image is missing/],
    ["FROM --platform=linux/s390x a", /only for this machine's platform/],
    ["FROM --x=y a", /--x is no flag of FROM/],
    ["FROM a\nCOPY --from=3 x y", /^Dockerfile:2: .*there is no stage 3/],
    ["FROM a AS b\nCOPY --from=b x y", /--from names the stage that it stands in/],
    ["FROM a\nCOPY --from=$x x y", /--from takes no variables/],
    ["FROM a\nCOPY x", /COPY takes at least two paths/],
    ["FROM a\nCOPY --parents x y", /cowfs does not know COPY --parents; it knows --chown/],
    ["FROM a\nCOPY --user=x x y", /--user is no flag of COPY; there are --chown, --chmod/],
    ["FROM a\nCOPY --chown x y", /--chown takes a value/],
    ["FROM a\nRUN --mount=type=cache,target=/x y", /cowfs does not know RUN --mount; it knows --network/],
    ["FROM a\nRUN --network=x y", /--network takes default, host or none/],
    ["FROM a\nADD https://x.org/y /", /nothing is fetched from the network/],
    ["FROM a\nONBUILD FROM b", /ONBUILD takes an instruction other than/],
  ])("%j is refused", (text, message) => {
    expect(() => plan(text)).toThrow(message);
  });

  it("has instructions within instructions, at their place", () => {
    const place = { file: "Dockerfile", line: 7, source: "ONBUILD RUN x" };
    expect(parseNested("RUN x \\\n y", "\\", place)).toMatchObject({ keyword: "RUN", rest: "x  y", line: 7 });
    expect(() => parseNested("WHAT", "\\", place)).toThrow(/WHAT is no instruction/);
  });
});

describe("a plan", () => {
  const text = [
    "ARG TAG=1",
    "FROM base:$TAG AS One",
    "FROM scratch AS two",
    "FROM one AS three",
    "COPY --from=1 x y",
    "COPY --from=tools:2 x y",
    "FROM base",
  ].join("\n");

  it("has the stages that the target needs", () => {
    expect(plan(text).stages.map(({ index }) => index)).toEqual([3]);
    expect(plan(text, {}, "three").stages.map(({ index, name, base }) => [index, name, base])).toEqual([
      [0, "one", { kind: "image", name: "base:1" }],
      [1, "two", { kind: "scratch" }],
      [2, "three", { kind: "stage", index: 0 }],
    ]);
    const [source, other] = [...(plan(text, {}, "2").stages.at(-1)?.sources.values() ?? [])];
    expect([source, other]).toEqual([
      { kind: "stage", index: 1 },
      { kind: "image", name: "tools:2" },
    ]);
  });

  it("takes arguments for FROM from the command line", () => {
    expect(plan(text, { TAG: "9" }, "one").stages[0]?.base).toEqual({ kind: "image", name: "base:9" });
    expect(plan("FROM $TARGETARCH", {}).stages[0]?.base).toMatchObject({ kind: "image" });
  });

  it("says which targets there are", () => {
    expect(() => plan(text, {}, "four")).toThrow(
      /there is no stage four to build: the stages are one, two, three, 3 \(without a name\)/,
    );
  });
});

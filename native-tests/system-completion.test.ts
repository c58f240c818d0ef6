import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Area } from "./harness/area.js";
import { command, shell } from "./harness/command.js";
import { cowfsProgram } from "./harness/mounts.js";
import { Store } from "./harness/store.js";

let area: Area;

beforeEach(() => {
  area = new Area();
  mkdirSync(area.at("work"));
  mkdirSync(area.at("bin"));
  writeFileSync(area.at("work", "archive.tar"), "");
  writeFileSync(area.at("bin", "cowfs"), `#!/bin/sh\nexec ${cowfsProgram} "$@"\n`, { mode: 0o755 });
});

afterEach(async () => {
  expect(await area.remove()).toEqual([]);
});

const has = (name: string): boolean => existsSync(`/usr/bin/${name}`) || existsSync(`/bin/${name}`);

/** Types into a shell on a terminal; each step is what is typed, and what must appear then. */
async function type(shellWords: readonly string[], steps: readonly (readonly [string, string])[]): Promise<string> {
  const tool = fileURLToPath(new URL("tools/terminal.py", import.meta.url));
  return command("python3", [tool, ...shellWords], {
    cwd: area.at("work"),
    timeout: 200_000,
    env: {
      PATH: `${area.at("bin")}:${process.env["PATH"]}`,
      HOME: area.path,
      TERM: "vt100",
      LC_ALL: "C.UTF-8",
      PS1: "$ ",
    },
    input: JSON.stringify(steps.map(([text, until]) => ({ type: text, until }))),
  });
}

test("bash completes commands, options, words and files", async () => {
  await type(
    ["bash", "--norc", "--noprofile", "-i"],
    [
      ["source <(cowfs completion bash); echo rea''dy\n", "ready"],
      ["cowfs compl\t", "completion "],
      ["fi\t", "fish "],
      ["\x15cowfs mount --upp\t", "--upper "],
      [". --low\t", "--lower "],
      ["\x15cowfs --root /no-such-place inf\t", "info "],
      ["--js\t", "--json "],
      ["\x15cowfs mount --log=arch\t", "archive\\.tar"],
      ["\x15cowfs un\t\t", "umount|unmount"],
      ["\x15cowfs run --driver over\t", "overlay2 "],
      [
        "\x15COMP_WORDS=(cowfs image his); COMP_CWORD=2 COMP_LINE= COMP_POINT=0; _cowfs; echo $COMPREPLY\n",
        "\nhistory",
      ],
    ],
  );
});

test.skipIf(!has("zsh"))("zsh completes the same, with descriptions (needs zsh)", async () => {
  await type(
    ["zsh", "-f", "-i"],
    [
      ["autoload -Uz compinit; compinit -u -D; source <(cowfs completion zsh); echo rea''dy\n", "ready"],
      ["cowfs compl\t", "completion"],
      ["fi\t", "fish"],
      ["\x15cowfs info --\t", "an? .*|JSON"],
      ["\x15cowfs mount --upp\t", "--upper"],
      ["\x15cowfs mount --log arch\t", "archive\\.tar"],
    ],
  );
});

test.skipIf(!has("fish"))("fish completes the same, with descriptions (needs fish)", async () => {
  const complete = (line: string): Promise<string> =>
    shell(`fish --no-config -c 'cowfs completion fish | source; complete -C "${line}"'`, {
      cwd: area.at("work"),
      env: { PATH: `${area.at("bin")}:${process.env["PATH"]}`, HOME: area.path, LC_ALL: "C.UTF-8" },
    });
  expect(await complete("cowfs mo")).toBe("mount\tmerge layers into a mountpoint\nmounts\tlist the mounts\n");
  expect(await complete("cowfs completion ")).toBe("bash\nfish\nzsh\n");
  expect(await complete("cowfs --root /x info --j")).toMatch(/^--json\t/);
  expect(await complete("cowfs mount --log arch")).toMatch(/^archive\.tar/);
  expect(await complete("cowfs umount arch")).toBe("");
});

test("names of images, containers and volumes are those of the data root", async () => {
  const store = new Store();
  try {
    await store.image("example/app:1", [area.at("work")]);
    await store.ok("create", "--name", "web", "example/app:1", "true");
    await store.ok("volume", "create", "data");
    await type(
      ["bash", "--norc", "--noprofile", "-i"],
      [
        ["source <(cowfs completion bash); echo rea''dy\n", "ready"],
        [`cowfs --root ${store.path} image rm exa\t`, "example/app:1"],
        [`\x15cowfs --root ${store.path} start \t`, "start web"],
        [`\x15cowfs --root ${store.path} volume rm \t`, "rm data"],
        [`\x15cowfs --root ${store.path} run -v da\t`, "-v data"],
      ],
    );
  } finally {
    expect(await store.remove()).toEqual([]);
  }
});

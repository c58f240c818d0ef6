import { Command, Option } from "commander";
import { expect, test } from "vitest";
import { mountFlags, mountWords, plainMount, verboseFlag } from "./mount-flags.js";

/** What commander makes of the same words; undefined where it complains. */
function byCommander(words: string[]): unknown {
  let made: unknown;
  const program = new Command()
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({ writeErr: () => {}, writeOut: () => {} });
  const mount = program.command("mount").argument("[mountpoint...]");
  for (const { flags, many } of words.includes("--as-helper") ? [...mountFlags, verboseFlag] : mountFlags) {
    const option = new Option(flags);
    if (many === true)
      option.argParser((value: string, before: string[] | undefined): string[] => [...(before ?? []), value]);
    mount.addOption(option);
  }
  mount.action((places: string[], options: object) => {
    made = mountWords(options, places);
  });
  try {
    program.parse(words, { from: "user" });
  } catch {
    return undefined;
  }
  return made;
}

test.each([
  ["--lower", "a:b", "--upper", "u", "--work=w", "/m"],
  ["--lower=a", "--lower", "b", "m", "--upper=", "--io", "auto"],
  ["-o", "a,b", "-oc", "-o=d", "--options", "e", "--options=f=g", "/m"],
  ["-fd", "--lower=-x", "-rfo", "lowerdir=/l", "-", "m"],
  ["-fdrolowerdir=/l", "m"],
  ["--as-helper", "src", "/m", "-nsv", "-w", "-t", "fuse.cowfs", "-o", "rw"],
  ["--as-helper", "-nvtfuse", "-o", "rw", "m", "--verbose"],
  ["--volatile", "--strict", "--storage-opt", "size=1G", "--", "-m", "--lower"],
  ["-f-", "-o", "x"],
  ["a", "b", "c", "--read-only", "-w", "--transport", "kernel", "--whiteout", "xattr", "--log", "l"],
  [],
])("read as commander does: %s %s %s %s %s", (...words) => {
  const read = plainMount(["mount", ...words]);
  expect(read).toEqual(byCommander(["mount", ...words]));
  expect(read).toBeDefined();
});

test.each([
  ["--lower"],
  ["-f", "-o"],
  ["--upper", "u", "--nonsense"],
  ["--foreground=yes"],
  ["-x"],
  ["-fx"],
  ["--low", "a"],
  ["--=a"],
  ["--help"],
  ["-h"],
])("left to commander: %s %s %s", (...words) => {
  expect(plainMount(["mount", ...words])).toBeUndefined();
  expect(byCommander(["mount", ...words])).toBeUndefined();
});

test("a value that looks like a flag is left to commander", () => {
  expect(plainMount(["mount", "--lower", "-x", "m"])).toBeUndefined();
});

test.each([
  ["mount", "--image", "i", "m"],
  ["mount", "-v", "a:/b", "m"],
  ["mount", "--lower", "l", "--volumes-from", "c", "m"],
  ["--root", "r", "mount", "m"],
  ["umount", "m"],
  ["mount", "-1"],
])("more than a mount by itself: %s %s", (...words) => {
  expect(plainMount(words)).toBeUndefined();
});

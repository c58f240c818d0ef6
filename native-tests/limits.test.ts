import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { Area } from "./harness/area.js";
import { cases } from "./harness/cases.js";
import { attempt, command, shell } from "./harness/command.js";
import { cowfs, cowfsProgram } from "./harness/mounts.js";

/** Every byte that may be in a name, twice over two names. */
const allBytes = Array.from({ length: 255 }, (_, index) => String.fromCharCode(index + 1))
  .filter((c) => c !== "/")
  .join("");
const escaped = (text: string): string =>
  `"${[...text].map((c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`).join("")}"`;
const long = "n".repeat(255);

/** A path of exactly so many bytes, all but the last part of it directories of 200 bytes. */
function longPath(length: number): string {
  const part = `${"p".repeat(199)}/`;
  const whole = part.repeat(Math.floor((length - 1) / 200));
  return whole + "q".repeat(length - whole.length);
}

cases("names and paths", [
  {
    name: "names of 255 bytes work, of 256 are ENAMETOOLONG",
    lowers: [{ [long]: "lower", [`d${long.slice(1)}/x`]: "x" }],
    steps: `
      cat ${long} -> lower
      append ${long} more
      rename ${long} ${"m".repeat(255)}
      cat ${"m".repeat(255)} -> lowermore
      put ${"k".repeat(255)} new
      rename d${long.slice(1)} e${long.slice(1)}
      cat e${long.slice(1)}/x -> x
      mkdir ${"o".repeat(255)}
      symlink x ${"s".repeat(255)}
      link ${"k".repeat(255)} ${"h".repeat(255)}
      put ${"k".repeat(256)} x -> ENAMETOOLONG
      stat ${"k".repeat(256)} -> ENAMETOOLONG
      mkdir ${"k".repeat(256)} -> ENAMETOOLONG
      rename ${"k".repeat(255)} ${"k".repeat(256)} -> ENAMETOOLONG
      unlink ${"k".repeat(256)} -> ENAMETOOLONG
      unlink ${"m".repeat(255)}
      stat ${"m".repeat(255)} -> ENOENT
    `,
  },
  {
    name: "names of any bytes but / and NUL",
    lowers: [{ [allBytes.slice(0, 127)]: "first", [`d/${allBytes.slice(127)}`]: "second" }],
    steps: `
      cat ${escaped(allBytes.slice(0, 127))} -> first
      cat ${escaped(`d/${allBytes.slice(127)}`)} -> second
      append ${escaped(allBytes.slice(0, 127))} more
      rename ${escaped(`d/${allBytes.slice(127)}`)} ${escaped(`d/X${allBytes.slice(127)}`)}
      put "\\xff\\xfe\\x80" latin
      put "\\xc3\\xa9" utf8
      mkdir "\\n"
      put "\\n/ " space
      symlink "\\xff\\n" "\\x01"
      readlink "\\x01" -> "\\xff\\n"
      ls
      unlink ${escaped(allBytes.slice(0, 127))}
      stat ${escaped(allBytes.slice(0, 127))} -> ENOENT
      setx "\\xc3\\xa9" "user.\\xff\\x01" "\\xfe"
      getx "\\xc3\\xa9" "user.\\xff\\x01" -> "\\xfe"
    `,
  },
  {
    name: "paths of 4,095 bytes work, of 4,096 are ENAMETOOLONG",
    lowers: [{ [longPath(3_000)]: "lower" }],
    run: async (merged) => {
      // The limit counts what is given to the system call, so the paths start at the working directory.
      const room = 4_095 - "./".length;
      const longest = longPath(room);
      await merged.steps(`
        chdir .
        sh "mkdir -p '${longest.slice(0, longest.lastIndexOf("/"))}'"
        put ./${longest} deep
        cat ./${longest} -> deep
        stat ./${longest} type -> file
        stat ./${longest}q -> ENAMETOOLONG
        cat ./${longPath(3_000)} -> lower
        append ./${longPath(3_000)} more
        rename ./${longest} ./short
        cat ./short -> deep
      `);
    },
  },
  {
    name: "symbolic links of 4,095 bytes; no longer ones",
    lowers: [{ l: { type: "link", target: "t".repeat(4_095) } }],
    steps: `
      readlink l -> ${"t".repeat(4_095)}
      symlink ${"u".repeat(4_095)} m
      readlink m -> ${"u".repeat(4_095)}
      symlink ${"u".repeat(4_096)} n -> ENAMETOOLONG
      statfollow l -> ENAMETOOLONG
      chown l 1 1
      readlink l -> ${"t".repeat(4_095)}
    `,
  },
  {
    name: "200 levels deep, made in the union and in a layer",
    lowers: [{ [`${"l/".repeat(200)}f`]: "bottom", "made/": {} }],
    steps: `
      cat ${"l/".repeat(200)}f -> bottom
      append ${"l/".repeat(200)}f more
      cat ${"l/".repeat(200)}f -> bottommore
      fd = deep_make made m 200
      openat $fd f O_RDWR|O_CREAT
      deep_walk made m -> "200 ENOENT"
      stat made/${"m/".repeat(200)}f type -> file
      rename l made/l
      cat made/${"l/".repeat(200)}f -> bottommore
      remount
      cat made/${"l/".repeat(200)}f -> bottommore
      sh "rm -r made/m" -> "0 "
    `,
  },
  {
    name: "deeper than a path can say",
    lowers: [{ "d/": {} }],
    steps: `
      fd = deep_make d ${"x".repeat(250)} 40
      deep_walk d ${"x".repeat(250)} -> "40 ENOENT"
      openat $fd f O_RDWR|O_CREAT
      fstatat $fd f type -> file
      drop_caches
      deep_walk d ${"x".repeat(250)} -> "40 ENOENT"
      fstatat $fd f type -> file
    `,
  },
  {
    name: "statfs says how long a name may be",
    lowers: [{ f: "f" }],
    steps: "statfs . -> namemax=255 sane=True\nstatfs f -> namemax=255 sane=True",
  },
]);

cases("extended attributes at their limits", [
  {
    name: "long names, large values, many of them",
    lowers: [{ f: "f" }],
    steps: `
      setx f user.${"n".repeat(250)} v
      getx f user.${"n".repeat(250)} -> v
      setx f user.${"n".repeat(251)} v -> ERANGE
      setx f user. v -> EINVAL
      setx f nonsense.x v -> EOPNOTSUPP
      setx f user.big ${"b".repeat(3_000)}
      getx f user.big -> ${"b".repeat(3_000)}
      setx f user.big x XATTR_CREATE -> EEXIST
      setx f user.none x XATTR_REPLACE -> ENODATA
      setx f user.big x XATTR_REPLACE
      getx f user.big -> x
      rmx f user.none -> ENODATA
      rmx f user.big
      getx f user.big -> ENODATA
      setx f user.huge ${"h".repeat(70_000)} -> E2BIG
    `,
  },
  {
    name: "overlayfs's own marks are neither seen nor set by users of the mount",
    lowers: [{ "d/x": "x", f: "f" }],
    tree: "none",
    steps: `
      rename d e
      append f more
      listx e -> ""
      listx f -> ""
      getx e trusted.overlay.redirect -> *
      setx f user.mine 1
      listx f -> user.mine
    `,
  },
]);

cases("many open files", [
  {
    name: "20,000 files open at once",
    timeout: 240_000,
    lowers: [Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`d/f${index}`, `f${index}`]))],
    tree: "none",
    skip: { native: "copying the tree takes longer than the test", overlay: "needs no descriptors" },
    run: async (merged) => {
      await command("prlimit", ["--pid", String(merged.driver()), "--nofile=20000:20000"]);
      await merged.steps(`
        many_open d f% 10000 -> 10000
        @b many_open d f% 10000 O_RDONLY 10000 -> 10000
        many_read -> 10000
        @b many_read -> 10000
        drop_caches
        many_read -> 10000
        @b many_unlink d f% 12000
        many_read -> 10000
        @b many_read -> 10000
        many_nlink -> 0
        many_close
        count_entries d -> 8000 8000
      `);
    },
  },
]);

describe("500 lower layers and an upper", () => {
  /** The ways to mount, each with a list of layers far longer than the page that mount(2) would take. */
  const ways: [string, (area: Area, list: string) => Promise<unknown>][] = [
    [
      "cowfs mount",
      (area, list) => cowfs(["mount", "--lower", list, "--upper", "u", "--work", "w", "m"], { cwd: area.path }),
    ],
    [
      "mount -t fuse.cowfs",
      (area, list) => attempt("mount", ["-t", "fuse.cowfs", "src", area.at("m"), "-o", options(area, list)]),
    ],
    [
      "fstab",
      (area, list) => {
        writeFileSync(area.at("fstab"), `src ${area.at("m")} fuse.cowfs ${options(area, list)} 0 0\n`);
        return attempt("mount", ["-T", area.at("fstab"), area.at("m")]);
      },
    ],
  ];
  const options = (area: Area, list: string): string =>
    `lowerdir=${list},upperdir=${area.at("u")},workdir=${area.at("w")}`;

  test("with redirects and hard links, over remounts, mounted in each way", { timeout: 240_000 }, async () => {
    const area = new Area();
    await shell(
      `mkdir m u w bin l; ln -s "$COWFS" bin/cowfs; cd l
       for n in $(seq -w 0 499); do mkdir -p $n/d; echo $n > $n/top; echo $n > $n/d/$n; done
       for n in $(seq 300 399); do mkdir $n/orig; echo $n > $n/orig/$n; done
       mkdir 100/moved; setfattr -n trusted.overlay.redirect -v /orig 100/moved; mknod 100/orig c 0 0
       echo one > 499/a; ln 499/a 499/b; ln 499/a 499/c`,
      { cwd: area.path, env: { ...process.env, COWFS: cowfsProgram } },
    );
    const list = Array.from({ length: 500 }, (_, n) => area.at("l", String(n).padStart(3, "0"))).join(":");
    expect(list.length).toBeGreaterThan(4_096 * 3);
    // mount(8) looks for the program there.
    await command("mount", ["--bind", area.at("bin"), "/usr/local/sbin"]);
    const listed = (name: string): number => readdirSync(area.at("m", name)).length;
    try {
      for (const [round, [way, mount]] of ways.entries()) {
        expect({ way, ended: await mount(area, list) }).toEqual({ way, ended: { status: 0, stdout: "", stderr: "" } });
        if (round === 0) {
          expect(readFileSync(area.at("m", "top"), "utf8")).toBe("000\n");
          await shell("mv d e; mv moved again; echo more >> a; rm b; rm e/499; echo new > again/new; ln c f", {
            cwd: area.at("m"),
          });
        }
        expect(readdirSync(area.at("m")).sort()).toEqual(["a", "again", "c", "e", "f", "top"]);
        expect([listed("e"), listed("again")]).toEqual([499, 101]);
        expect(readFileSync(area.at("m", "e", "250"), "utf8")).toBe("250\n");
        expect(readFileSync(area.at("m", "again", "350"), "utf8")).toBe("350\n");
        for (const name of ["a", "c", "f"]) expect(readFileSync(area.at("m", name), "utf8")).toBe("one\nmore\n");
        expect(statSync(area.at("m", "c")).nlink).toBe(3);
        expect((await cowfs(["umount", area.at("m")])).status).toBe(0);
      }
    } finally {
      await command("umount", ["/usr/local/sbin"]);
      expect(await area.remove()).toEqual([]);
    }
  });
});

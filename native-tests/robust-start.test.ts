/** Starting a mount where something is wrong, or odd: it works, or says what is wrong and changes nothing. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Area } from "./harness/area.js";
import { attempt, command, type Ended, shell } from "./harness/command.js";
import { hard } from "./harness/layers.js";
import { cowfs, cowfsProgram } from "./harness/mounts.js";
import { mountAt, mountInfo } from "./harness/namespace.js";

const silent: Ended = { status: 0, stdout: "", stderr: "" };

let area: Area;
let places: string[];

beforeEach(() => {
  area = new Area();
  places = [];
  for (const name of ["low", "m"]) mkdirSync(area.at(name));
  writeFileSync(area.at("low", "f"), "f");
});

afterEach(async () => {
  expect(await area.remove(places)).toEqual([]);
});

const here = (...args: string[]): Promise<Ended> => cowfs(args, { cwd: area.path });

/** Everything in the area, with the times of the last change. */
const state = (): Promise<string> => shell("find . ! -name '*.img' -printf '%p %C@ %s\\n' | sort", { cwd: area.path });

/** A mount that must fail with this message, and leave everything as it is. */
async function refused(message: RegExp, ...args: string[]): Promise<void> {
  const before = await state();
  const { status, stdout, stderr } = await here("mount", ...args);
  expect(stderr).toMatch(/^cowfs: [^\n]+\n$/);
  expect(stderr).toMatch(message);
  expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
  expect(await state()).toBe(before);
  expect(mountAt(area.at("m"))).toBeUndefined();
}

async function bind(from: string, to: string): Promise<void> {
  mkdirSync(area.at(to), { recursive: true });
  await command("mount", ["--bind", area.at(from), area.at(to)]);
  places.push(area.at(to));
}

test("a limit of the size of files is of those who write, not of whoever mounts", async () => {
  const script = `
    truncate -s 3M low/big
    (ulimit -S -f 8; exec "$COWFS" mount --io cached --lower low --upper up m)
    chmod 600 m/big && echo more >> m/big && truncate -s 5M m/big && head -c 1M /dev/zero > m/new && fallocate -l 2M m/new
    stat -c %s m/big m/new
    (trap '' XFSZ; ulimit -f 8; truncate -s 6M m/big; head -c 1M /dev/zero >> m/new) 2>/dev/null && echo no limit
    "$COWFS" umount m`;
  const ended = await attempt("bash", ["-c", script], { cwd: area.path, env: { ...process.env, COWFS: cowfsProgram } });
  expect(ended).toEqual({ status: 0, stdout: `${5 << 20}\n${2 << 20}\n`, stderr: "" });
});

describe("the work directory", () => {
  test("what failed mounts and crashes have left is cleared", async () => {
    await shell(
      "mkdir -p w/work/'#1'/deep/er w/work/incompat w/work/7; touch w/work/'#2' w/work/'#1'/deep/x; mknod w/work/'#3' c 0 0; chmod 0 w/work; mkdir up",
      { cwd: area.path },
    );
    expect(await here("mount", "--lower", "low", "--upper", "up", "--work", "w", "m")).toEqual(silent);
    expect(readdirSync(area.at("m"))).toEqual(["f"]);
    writeFileSync(area.at("m", "f"), "changed");
    expect(await here("umount", "m")).toEqual(silent);
    expect(readdirSync(area.at("w", "work"))).toEqual([]);
  });

  test("upper and work directory swapped", async () => {
    expect(await here("mount", "--lower", "low", "--upper", "up", "--work", "w", "m")).toEqual(silent);
    writeFileSync(area.at("m", "new"), "new");
    expect(await here("umount", "m")).toEqual(silent);
    await refused(
      /work directory .*up is not empty, it holds new/,
      "--lower",
      "low",
      "--upper",
      "w",
      "--work",
      "up",
      "m",
    );
  });

  test("a directory whose only content is called as a work directory's is not emptied", async () => {
    await shell("mkdir -p mine/work mine2/index; echo precious > mine/work/file; echo precious > mine2/index/file", {
      cwd: area.path,
    });
    await refused(/it holds work\/file/, "--lower", "low", "--upper", "up", "--work", "mine", "m");
    await refused(/it holds index\/file/, "--lower", "low", "--upper", "up", "--work", "mine2", "m");
  });

  test("a numbered directory that holds something is somebody's own", async () => {
    await shell("mkdir -p up w/work/2023; echo precious > w/work/2023/diary", { cwd: area.path });
    await refused(
      /w is not empty, it holds work\/2023: name an empty/,
      "--lower",
      "low",
      "--upper",
      "up",
      "--work",
      "w",
      "m",
    );
  });

  test("what a mount of overlayfs uses is refused", async () => {
    await shell("mkdir up w m2", { cwd: area.path });
    const options = `lowerdir=${area.at("low")},upperdir=${area.at("up")},workdir=${area.at("w")}`;
    await command("mount", ["-t", "overlay", "-o", options, "overlay", area.at("m2")]);
    places.push(area.at("m2"));
    await refused(/up is in use by the overlayfs on \S+m2: unmount that first/, "--lower", "low", "--upper", "up", "m");
    await refused(/w is in use by the overlayfs on/, "--lower", "low", "--upper", "new", "--work", "w", "m");
  });

  test("new directories of the upper obey the umask", async () => {
    await shell(`umask 077; '${cowfsProgram}' mount --lower low --upper private m`, { cwd: area.path });
    expect(await shell("stat -c %a private .private.work", { cwd: area.path })).toBe("700\n700\n");
    expect(await here("umount", "m")).toEqual(silent);
  });

  test("the index of another upper is not taken for this one's", async () => {
    await area.build(area.at("low"), { a: "a", b: hard("a"), c: hard("a") });
    const layers = ["--lower", "low", "--work", "w", "--upper"];
    expect(await here("mount", ...layers, "up", "m")).toEqual(silent);
    await shell("echo more >> m/a", { cwd: area.path });
    expect(await here("umount", "m")).toEqual(silent);
    await refused(/w has the index of hard links of another upper: .* remove .*w\/index/, ...layers, "up2", "m");
    // A copy of both on another file system is a copy, and one on this file system can be made one.
    await area.directory("fs", "ext4:32M");
    places.push(area.at("fs"));
    await shell("cp -a up w fs; cp -a up up2; cp -a w w2", { cwd: area.path });
    await refused(
      /setfattr -x trusted.overlay.upper .*w2\/index/,
      "--lower",
      "low",
      "--work",
      "w2",
      "--upper",
      "up2",
      "m",
    );
    await shell("setfattr -x trusted.overlay.upper w2/index", { cwd: area.path });
    for (const [upper, work] of [
      ["fs/up", "fs/w"],
      ["up2", "w2"],
      ["up", "w"],
    ] as const) {
      expect(await here("mount", "--lower", "low", "--upper", upper, "--work", work, "m")).toEqual(silent);
      expect(readFileSync(area.at("m", "c"), "utf8")).toBe("amore\n");
      expect(await here("umount", "m")).toEqual(silent);
    }
    // The kernel reads the same mark.
    const options = (upper: string) =>
      `lowerdir=${area.at("low")},upperdir=${area.at(upper)},workdir=${area.at("w")},index=on`;
    const kernel = async (upper: string) =>
      (await attempt("mount", ["-t", "overlay", "-o", options(upper), "none", area.at("m")])).status;
    mkdirSync(area.at("up3"));
    expect(await kernel("up3")).not.toBe(0);
    expect(await kernel("up")).toBe(0);
    await command("umount", [area.at("m")]);
  });
});

describe("one directory in two places", () => {
  test("under another path", async () => {
    await shell("mkdir -p up/sub w; ln -s low link", { cwd: area.path });
    await bind("low", "low2");
    await bind("up", "up2");
    await refused(/are the same directory/, "--lower", "low", "--upper", "low2", "--work", "w", "m");
    await refused(/are the same directory/, "--lower", "low", "--upper", "link", "--work", "w", "m");
    await refused(/are the same directory/, "--lower", "low", "--upper", "up", "--work", "up", "m");
    await refused(/lies in the upper layer/, "--lower", "low:up2/sub", "--upper", "up", "--work", "w", "m");
    await refused(/lies in the lower layer/, "--lower", "up2", "--upper", "up/sub", "--work", "w", "m");
    await refused(/lies in the lower layer/, "--lower", "low2", "--upper", "up", "--work", "low/new", "m");
    await refused(/lies in the lower layer/, "--lower", "low2", "--upper", "low/new", "m");
    await refused(/mountpoint .* lies in the upper layer/, "--lower", "low", "--upper", "up", "up/sub");
    await refused(/mountpoint .* lies in the work directory/, "--lower", "low", "--upper", "up", "--work", "m", "m");
  });

  test("a mountpoint that is a lower layer, or lies in one, is no mistake", async () => {
    await shell("mkdir -p low/sub w", { cwd: area.path });
    for (const [mountpoint, file] of [
      ["low", "one"],
      ["low/sub", "two"],
    ] as const) {
      expect(await here("mount", "--lower", "low", "--upper", "up", "--work", "w", mountpoint)).toEqual(silent);
      expect(readdirSync(area.at(mountpoint, "sub"))).toEqual([]);
      expect(readFileSync(area.at(mountpoint, "f"), "utf8")).toBe("f");
      writeFileSync(area.at(mountpoint, "f"), file);
      writeFileSync(area.at(mountpoint, file), "");
      expect(await here("umount", mountpoint)).toEqual(silent);
      await shell("rm up/f", { cwd: area.path });
    }
    expect(readdirSync(area.at("up"))).toEqual(["one", "two"]);
    expect(readdirSync(area.at("low"))).toEqual(["f", "sub"]);
    expect(readFileSync(area.at("low", "f"), "utf8")).toBe("f");
    await refused(/the lower layer .* lies in the mountpoint .*, which would cover it/, "--lower", "low/sub", "low");
  });

  test("an upper on another file system, which is mounted in the lower layer, is no mistake", async () => {
    await shell("mkdir -p low/fs", { cwd: area.path });
    places.push(await area.directory("low/fs", "tmpfs:1M"));
    mkdirSync(area.at("low/fs/m"));
    expect(await here("mount", "--lower", "low", "--upper", "low/fs/up", "low/fs/m")).toEqual(silent);
    expect(readdirSync(area.at("low/fs/m/fs"))).toEqual([]);
    writeFileSync(area.at("low/fs/m/f"), "new");
    expect(await here("umount", "low/fs/m")).toEqual(silent);
    expect(readdirSync(area.at("low/fs/up"))).toEqual(["f"]);
    expect(readFileSync(area.at("low", "f"), "utf8")).toBe("f");
  });

  test("the same lower layer twice, and one in another, are no mistake", async () => {
    await shell("mkdir low/d; echo x > low/d/x", { cwd: area.path });
    expect(await here("mount", "--lower", "low:low/d:low", "--upper", "up", "m")).toEqual(silent);
    expect(readdirSync(area.at("m")).sort()).toEqual(["d", "f", "x"]);
    await shell("rm m/x; echo more >> m/d/x; rm m/f", { cwd: area.path });
    expect(readdirSync(area.at("m"))).toEqual(["d"]);
    expect(readFileSync(area.at("low", "d", "x"), "utf8")).toBe("x\n");
    expect(await here("umount", "m")).toEqual(silent);
  });
});

describe("--strict", () => {
  const damage: [string, string, RegExp][] = [
    [
      "a malformed redirect",
      "mkdir -p u/deep/er; setfattr -n trusted.overlay.redirect -v ../x u/deep/er",
      /\/deep\/er: EIO/,
    ],
    ["a metacopy without data", "truncate -s 9 u/meta; setfattr -n trusted.overlay.metacopy u/meta", /\/meta: EIO/],
    ["an index entry that lies", "mv w/index/* w/index/00fb1d00ff", /index\/00fb1d00ff: its origin is 00fb/],
  ];

  test.each(damage)("%s is a refusal with it, and one bad object without", async (_, script, message) => {
    await area.build(area.at("low"), { a: "a", b: hard("a"), c: hard("a") });
    const layers = ["--lower", "low", "--upper", "u", "--work", "w"];
    expect(await here("mount", "--strict", ...layers, "m")).toEqual(silent);
    await shell("echo more >> m/a; rm m/b; mkdir m/d; chmod 600 m/f", { cwd: area.path });
    expect(await here("umount", "m")).toEqual(silent);
    expect(await here("mount", ...layers, "-o", "strict", "m")).toEqual(silent);
    expect((await here("mounts", "--json")).stdout).toContain('"strict"');
    expect(await here("umount", "m")).toEqual(silent);

    await shell(script, { cwd: area.path });
    const { status, stderr } = await here("mount", "--strict", ...layers, "m");
    expect(stderr).toMatch(/^cowfs: strict: 1 object in the upper cannot be used: [^\n]+\n$/);
    expect(stderr).toMatch(message);
    expect(status).toBe(1);
    expect(mountAt(area.at("m"))).toBeUndefined();
    expect(await here("mount", ...layers, "m")).toEqual(silent);
    expect(readFileSync(area.at("m", "f"), "utf8")).toBe("f");
    expect(await here("umount", "m")).toEqual(silent);
  });
});

/** As a shell writes it. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
/** As an option of mount(8) and --lower have it. */
const escaped = (path: string): string => path.replace(/[\\:]/g, "\\$&").replaceAll(",", "\\,");
/** As fstab and the kernel's tables have it. */
const octal = (text: string): string =>
  text.replace(/[ \t\n\\]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, "0")}`);

describe("odd bytes in paths", () => {
  const names: [string, string][] = [
    ["spaces and a tab", " a  b\tc "],
    ["a newline", "a\nb"],
    ["a backslash", "a\\b\\\\c\\040"],
    ["colons", "a:b::c"],
    ["quotes and signs of a shell", "a'b\"c$d`e;f#g*"],
    ["bytes that are not UTF-8", "\xff\xe9a\x80"],
  ];
  const env = { ...process.env, COWFS: cowfsProgram };
  /** A script with any bytes, which no argument of Node's spawn can have. */
  async function script(text: string): Promise<Ended> {
    writeFileSync(area.at("script"), Buffer.from(`cd ${area.path}\n${text}\n`, "latin1"));
    return await attempt("/bin/bash", ["-eu", area.at("script")], { env });
  }

  test.each(names)("%s, on the command line", async (_, name) => {
    const [low, up, work, at] = ["l", "u", "w", "p"].map((prefix) => prefix + name) as [string, string, string, string];
    const q = quoted;
    expect(
      await script(`
        mkdir ${q(low)} ${q(at)}; echo one > ${q(low)}/one
        "$COWFS" mount --lower ${q(low.replace(/[\\:]/g, "\\$&"))} --upper ${q(up)} --work ${q(work)} ${q(at)}
        cat ${q(at)}/one; echo two > ${q(at)}/two; rm ${q(at)}/one
        cat ${q(up)}/two; ls -A ${q(work)}`),
    ).toEqual({ status: 0, stdout: "one\ntwo\nwork\n", stderr: "" });
    expect(mountInfo().at(-1)?.mountpoint).toBe(`${area.path}/${at}`);
    const listed = JSON.parse((await here("mounts", "--json")).stdout) as { mountpoint: string; upper: string }[];
    const bytes = (text: string): string =>
      text.replace(/[\udc80-\udcff]/g, (c) => String.fromCharCode(c.charCodeAt(0) & 0xff));
    const one = listed.find(({ mountpoint }) => bytes(mountpoint) === `${area.path}/${at}`);
    expect(bytes(one?.upper ?? "")).toBe(`${area.path}/${up}`);
    expect((await here("mounts")).stdout.split("\n").filter((line) => line.includes(area.path))).toHaveLength(1);
    expect(await script(`"$COWFS" umount ${q(at)}`)).toEqual(silent);
  });

  test.each(names)("%s, as options, by mount(8) and fstab", async (_, name) => {
    const [low, up, work, at] = ["l,", "u,", "w,", "p"].map((prefix) => prefix + name) as [
      string,
      string,
      string,
      string,
    ];
    const q = quoted;
    mkdirSync(area.at("bin"));
    const full = (path: string): string => escaped(`${area.path}/${path}`);
    const options = `lowerdir=${full(low)},upperdir=${full(up)},workdir=${full(work)}`;
    const twice = `grep -c "" ${q(at)}/one; echo x >> ${q(at)}/one`;
    expect(
      await script(`
        mkdir ${q(low)} ${q(at)} ${q(up)} ${q(work)}; echo one > ${q(low)}/one
        ln -s "$COWFS" bin/mount.fuse.cowfs
        bin/mount.fuse.cowfs src ${q(at)} -o ${q(options)}
        ${twice}
        "$COWFS" umount ${q(at)}`),
    ).toEqual({ status: 0, stdout: "1\n", stderr: "" });
    // What fstab cannot say, mount(8) does not take either: a quote opens a value there, and a newline ends a line.
    if (/["\n]/.test(name)) return;
    const line = `src ${octal(`${area.path}/${at}`)} fuse.cowfs ${octal(options)} 0 0\n`;
    writeFileSync(area.at("fstab"), Buffer.from(line, "latin1"));
    const ended = await script(`
        ln -s "$COWFS" bin/cowfs
        mount --bind bin /usr/local/sbin
        trap 'umount /usr/local/sbin' EXIT
        mount -T fstab ${q(`${area.path}/${at}`)}
        ${twice}`);
    expect(ended).toEqual({ status: 0, stdout: "2\n", stderr: "" });
    expect(await script(`"$COWFS" umount ${q(at)}`)).toEqual(silent);
  });
});

import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Area } from "./harness/area.js";
import { command, type Ended, shell } from "./harness/command.js";
import { cowfs, cowfsProgram } from "./harness/mounts.js";
import { mountAt } from "./harness/namespace.js";
import { helper } from "./harness/worker.js";

let area: Area;

beforeEach(() => {
  area = new Area();
});

afterEach(async () => {
  expect(await area.remove()).toEqual([]);
});

const said = (stdout: string): Ended => ({ status: 0, stdout, stderr: "" });
const failed = (stderr: string, stdout = ""): Ended => ({ status: 1, stdout, stderr: `cowfs: ${stderr}\n` });

/** `cowfs volume …` on the area's data root. */
function volume(...args: string[]): Promise<Ended> {
  return cowfs(["--root", area.at("root"), "volume", ...args], { cwd: area.path });
}

const dataOf = (name: string): string => area.at("root", "volumes", name, "_data");

/** Everything about a tree but inode and device numbers. */
async function treeOf(path: string): Promise<Record<string, string>> {
  const answer = await helper().call("snapshot", [path, "holes,dirtimes"], 120_000);
  return JSON.parse(answer.text) as Record<string, string>;
}

describe("create, ls, inspect", () => {
  test("a named volume, with labels; a second time it stays as it is", async () => {
    expect(await volume("create", "--label", "a=b=c", "--label", "d", "db")).toEqual(said("db\n"));
    writeFileSync(`${dataOf("db")}/file`, "x");
    expect(await volume("create", "db")).toEqual(said("db\n"));
    expect(readFileSync(`${dataOf("db")}/file`, "utf8")).toBe("x");
    const { stdout } = await volume("inspect", "db");
    expect(stdout).toMatch(
      /^\[\n {4}\{\n {8}"CreatedAt": "\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",\n {8}"Driver": "local",\n/,
    );
    expect(JSON.parse(stdout)).toMatchObject([
      {
        Driver: "local",
        Labels: { a: "b=c", d: "" },
        Mountpoint: dataOf("db"),
        Name: "db",
        Options: null,
        Scope: "local",
      },
    ]);
    expect(await volume("inspect", "--format", "{{.Name}} {{.Mountpoint}}", "db")).toEqual(
      said(`db ${dataOf("db")}\n`),
    );
    expect(await volume("create", "-d", "other", "db")).toEqual(
      failed('create db: conflict: volume name must be unique: the volume exists with the driver "local"'),
    );
    expect(await volume("inspect", "db", "none", "--format", "{{.Name}}")).toEqual(
      failed("get none: no such volume", "db\n"),
    );
  });

  test("an anonymous volume has 64 digits and a label", async () => {
    const name = (await volume("create")).stdout.trim();
    expect(name).toMatch(/^[0-9a-f]{64}$/);
    const { stdout } = await volume("inspect", name, "--format", "{{json .Labels}}");
    expect(stdout).toBe('{"com.docker.volume.anonymous":""}\n');
  });

  test("the list is sorted by people's rules, and filtered", async () => {
    for (const name of ["v10", "v9", "other"]) await volume("create", "--label", `is=${name}`, name);
    expect(await volume("ls")).toEqual(said("DRIVER    VOLUME NAME\nlocal     other\nlocal     v9\nlocal     v10\n"));
    expect(await volume("ls", "-q", "--filter", "name=v")).toEqual(said("v9\nv10\n"));
    expect(await volume("ls", "-q", "-f", "label=is=other")).toEqual(said("other\n"));
    expect(await volume("ls", "-q", "-f", "label=is", "-f", "label=no")).toEqual(said(""));
    expect(await volume("ls", "-q", "-f", "driver=nfs")).toEqual(said(""));
    expect(await volume("ls", "-q", "-f", "dangling=true", "-f", "name=v1")).toEqual(said("v10\n"));
    expect(await volume("ls", "-q", "-f", "dangling=false")).toEqual(said(""));
    expect(await volume("ls", "--format", '{{.Name}}={{.Label "is"}}', "-f", "name=9")).toEqual(said("v9=v9\n"));
    expect(JSON.parse((await volume("ls", "--json")).stdout)).toHaveLength(3);
    expect((await volume("ls", "-f", "nothing=x")).status).toBe(2);
  });

  test("what is refused", async () => {
    const quota = "a size can be kept with --opt type=tmpfs --opt device=tmpfs, or by a file system of its own";
    const refused: [string[], string][] = [
      [
        ["a"],
        'the volume name "a" is invalid: two or more of a-z A-Z 0-9 _ . - are allowed, the first a letter or digit; if you meant a directory of the host, write its absolute path',
      ],
      [
        ["--driver", "nfs3", "db"],
        'create db: the volume driver "nfs3" is not known: it is neither local nor a plugin in /run/docker/plugins, /etc/docker/plugins, /usr/lib/docker/plugins',
      ],
      [["-o", "x=y", "db"], 'create db: invalid option: "x": the driver local knows type, device, o, size'],
      [["-o", "type=tmpfs", "db"], 'create db: missing required option: "device"'],
      [["-o", "size=1m", "db"], `create db: quota size requested but no quota support: ${quota}`],
    ];
    const ended = await Promise.all(refused.map(([args]) => volume("create", ...args)));
    expect(ended).toEqual(refused.map(([, message]) => failed(message)));
    expect(readdirSync(area.at("root", "volumes"))).toEqual([]);
  });

  test("many commands at once make one volume", async () => {
    const all = await Promise.all(Array.from({ length: 8 }, () => volume("create", "same")));
    for (const one of all) expect(one).toEqual(said("same\n"));
    expect(readdirSync(area.at("root", "volumes"))).toEqual(["same"]);
    expect(readdirSync(area.at("root", "tmp"))).toEqual([]);
  });
});

describe("rm and prune", () => {
  test("rm removes several, goes on after a failure, and -f passes over what is not there", async () => {
    for (const name of ["v1", "v2"]) await volume("create", name);
    expect(await volume("rm", "v1", "none", "v2")).toEqual(failed("get none: no such volume", "v1\nv2\n"));
    expect(await volume("rm", "-f", "none")).toEqual(said("none\n"));
    expect(readdirSync(area.at("root", "volumes"))).toEqual([]);
  });

  test("a volume that is mounted stays, and prune passes over it; the root may be a symbolic link", async () => {
    mkdirSync(area.at("l"));
    mkdirSync(area.at("m"));
    mkdirSync(area.at("root"));
    symlinkSync("root", area.at("link-to-root"));
    const mounted = await cowfs([
      "--root",
      area.at("link-to-root"),
      "mount",
      "--lower",
      area.at("l"),
      "--upper",
      area.at("u"),
      "-v",
      "used:/data",
      area.at("m"),
    ]);
    expect(mounted).toEqual(said(""));
    const used = failed(`remove used: volume is in use - [${area.at("m/data")}]`);
    expect(await volume("rm", "used")).toEqual(used);
    expect(await cowfs(["--root", area.at("link-to-root"), "volume", "rm", "used"])).toEqual(used);
    expect(await volume("prune", "-a", "-f")).toEqual(said("Total reclaimed space: 0B\n"));
    expect(await cowfs(["umount", area.at("m")])).toEqual(said(""));
    expect(await volume("rm", "used")).toEqual(said("used\n"));
  });

  test("prune: anonymous ones only, unless -a; what it asks and says", async () => {
    const anonymous = (await volume("create")).stdout.trim();
    for (const name of ["keep", "named"]) await volume("create", "--label", `l=${name}`, name);
    writeFileSync(`${dataOf(anonymous)}/file`, "x".repeat(2000));
    const asked = await shell(`echo n | ${cowfsProgram} --root ${area.at("root")} volume prune 2>&1`);
    expect(asked).toContain(
      "WARNING! This will remove anonymous local volumes not used by at least one container.\nAre you sure you want to continue? [y/N] ",
    );
    expect(readdirSync(area.at("root", "volumes"))).toHaveLength(3);
    const yes = await shell(`echo y | ${cowfsProgram} --root ${area.at("root")} volume prune 2>/dev/null`);
    expect(yes).toBe(`Deleted Volumes:\n${anonymous}\n\nTotal reclaimed space: 2kB\n`);
    expect(await volume("prune", "-f")).toEqual(said("Total reclaimed space: 0B\n"));
    expect(await volume("prune", "-af", "--filter", "label!=l=keep")).toEqual(
      said("Deleted Volumes:\nnamed\n\nTotal reclaimed space: 0B\n"),
    );
    expect(await volume("prune", "-af", "--filter", "label=l=keep")).toEqual(
      said("Deleted Volumes:\nkeep\n\nTotal reclaimed space: 0B\n"),
    );
  });
});

describe("export and import", () => {
  test("a backup that fails leaves what was there under its name", async () => {
    await volume("create", "data");
    await area.build(dataOf("data"), { big: { data: "", fill: 3 << 20 } });
    await command("mknod", [area.at("full"), "c", "1", "7"]);
    await command("mkdir", [area.at("small")]);
    await command("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", area.at("small")]);
    await shell(`echo before > ${area.at("small", "backup.tar")}`);
    for (const name of ["full", "small/backup.tar"]) {
      expect(await volume("export", "data", "-o", name)).toMatchObject({
        status: 1,
        stderr: expect.stringMatching(/^cowfs: cannot write .*no space left/i),
      });
    }
    expect(
      await shell(`stat -c %F ${area.at("full")}; cat ${area.at("small", "backup.tar")}; ls ${area.at("small")}`),
    ).toBe("character special file\nbefore\nbackup.tar\n");
    await command("umount", [area.at("small")]);
  });

  test("backup and restore: another root has the same tree", async () => {
    await volume("create", "data");
    await area.build(dataOf("data"), {
      plain: { data: "content", mode: 0o640, uid: 12, gid: 34, mtime: "1234567890.123456789" },
      suid: { data: "#!", mode: 0o4755 },
      attributes: {
        data: "x",
        xattrs: { "user.name": "value \xff", "trusted.other": "t", "trusted.overlay.opaque": "y" },
      },
      sparse: { parts: [[1048576, "middle"]], size: 3145728, data: "" },
      "deep/": { mode: 0o1777, uid: 5, gid: 6, mtime: "1000000000.5" },
      "deep/er/": { mode: 0o500 },
      "deep/er/link": { type: "link", target: "../../plain \xe9" },
      "deep/hard": { type: "hard", target: "plain" },
      fifo: { type: "fifo", mode: 0o622 },
      device: { type: "char", major: 1, minor: 3, mode: 0o666 },
      ".wh.name": "no whiteout here",
      "\xc3\xa4 \xff": "a name of bytes",
      [`${"long/".repeat(60)}name`]: "deep down",
    });
    await command("chmod", ["1770", dataOf("data")]);
    await command("chown", ["77:88", dataOf("data")]);
    expect(await volume("export", "data", "-o", "backup.tar")).toEqual(said(""));
    const other = (...args: string[]) => cowfs(["--root", area.at("other"), "volume", ...args], { cwd: area.path });
    expect(await other("import", "restored", "backup.tar")).toEqual(said(""));
    const restored = area.at("other", "volumes", "restored", "_data");
    expect(await treeOf(restored)).toEqual(await treeOf(dataOf("data")));
    expect(statSync(`${restored}/sparse`).blocks * 512).toBeLessThan(100_000);

    // By a pipe, compressed; and what tar makes of it.
    await shell(
      `${cowfsProgram} --root ${area.at("root")} volume export data | gzip | ${cowfsProgram} --root ${area.at("other")} volume import piped`,
    );
    expect(await treeOf(area.at("other", "volumes", "piped", "_data"))).toEqual(await treeOf(dataOf("data")));
    await shell("mkdir out; tar -x --xattrs --xattrs-include='*' -p --numeric-owner -C out -f backup.tar", {
      cwd: area.path,
    });
    expect(Object.keys(await treeOf(area.at("out")))).toEqual(Object.keys(await treeOf(dataOf("data"))));

    expect(await other("import", "restored", "backup.tar")).toEqual(
      failed("the volume restored is not empty: import into a new one, or remove what is in it"),
    );
  });

  test.each<[string, string, RegExp]>([
    ["cut off", "head -c 5000 /dev/urandom > f; tar cf - f | head -c 3000", /the tar archive is cut off/],
    ["no archive", "head -c 4096 /dev/zero | tr '\\0' x", /cannot be filled/],
    ["damaged gzip", "echo hello | gzip | head -c 20; head -c 80 /dev/zero", /cannot be filled/],
    ["leads out", "echo x > f; tar cPf - --transform 's,^,../../,' f", /leads out/],
    [
      "a link out of it",
      "ln -s / esc; echo x > f; tar cf a.tar esc; mkdir d; echo y > d/f; tar rf a.tar --transform 's,^d,esc/etc/none,' d/f; cat a.tar",
      /^$/,
    ],
  ])("%s: nothing is left behind, and nothing outside is touched", async (_, make, message) => {
    const ended = await cowfs(["--root", area.at("root"), "volume", "import", "vol", "in.tar"], {
      cwd: await (async () => {
        mkdirSync(area.at("in"));
        await shell(`(${make}) > in.tar.new; mv in.tar.new in.tar`, { cwd: area.at("in") });
        return area.at("in");
      })(),
    });
    expect(ended.stderr).toMatch(message);
    expect(() => statSync("/etc/none")).toThrow(/ENOENT/);
    if (ended.status === 0) expect(readdirSync(dataOf("vol"))).toContain("etc");
    else expect(await volume("ls", "-q")).toEqual(said(""));
    expect(readdirSync(area.at("root", "tmp"))).toEqual([]);
  });
});

describe("options of the driver local", () => {
  test("a tmpfs with its size; mounted at first use, gone with the volume", async () => {
    await volume(
      "create",
      "-o",
      "type=tmpfs",
      "-o",
      "device=tmpfs",
      "-o",
      "o=uid=7,mode=700,noexec",
      "-o",
      "size=1m",
      "mem",
    );
    mkdirSync(area.at("l"));
    mkdirSync(area.at("m"));
    const args = ["--root", area.at("root"), "mount", "--lower", area.at("l"), "--upper", area.at("u"), "-v", "mem:/d"];
    expect(await cowfs([...args, area.at("m")])).toEqual(said(""));
    expect(mountAt(dataOf("mem"))?.type).toBe("tmpfs");
    expect(statSync(area.at("m/d")).uid).toBe(7);
    expect(() => writeFileSync(area.at("m/d/big"), Buffer.alloc(2 << 20))).toThrow(/ENOSPC/);
    expect(mountAt(area.at("m/d"))?.options).toContain("noexec");
    expect(await cowfs(["umount", area.at("m")])).toEqual(said(""));
    expect(await volume("rm", "mem")).toEqual(said("mem\n"));
    expect(area.mounts()).toEqual([]);
  });

  test("a directory of the host, and a device that is none", async () => {
    mkdirSync(area.at("host"));
    writeFileSync(area.at("host", "file"), "h");
    mkdirSync(area.at("l"));
    mkdirSync(area.at("m"));
    await volume("create", "-o", "type=none", "-o", `device=${area.at("host")}`, "-o", "o=bind", "dir");
    await volume("create", "-o", "type=ext4", "-o", `device=${area.at("none")}`, "disk");
    const args = ["--root", area.at("root"), "mount", "--lower", area.at("l"), "--upper", area.at("u"), area.at("m")];
    expect(await cowfs([...args, "-v", "dir:/d"])).toEqual(said(""));
    expect(readFileSync(area.at("m/d/file"), "utf8")).toBe("h");
    expect(await cowfs(["umount", area.at("m")])).toEqual(said(""));
    expect(await cowfs([...args, "-v", "disk:/d"])).toEqual(
      failed(`failed to mount local volume disk: mount ${area.at("none")} as ext4: ENOENT`),
    );
    expect(await volume("rm", "dir", "disk")).toEqual(said("dir\ndisk\n"));
    expect(readFileSync(area.at("host", "file"), "utf8")).toBe("h");
    expect(area.mounts()).toEqual([]);
  });
});

/** What a container changes: copy-on-write, diff, commit, export, cp. The image and other containers stay as they are. */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { attempt, command, shell } from "./harness/command.js";
import { cowfsProgram } from "./harness/mounts.js";
import { Store } from "./harness/store.js";

let store: Store;

beforeAll(async () => {
  store = new Store();
  const tree = store.area.at("tree-base");
  mkdirSync(join(tree, "data/deep"), { recursive: true });
  for (const name of ["one", "two", "three", "deep/four"]) writeFileSync(join(tree, "data", name), `${name}\n`);
  await store.busybox("base");
});

afterAll(async () => {
  expect(await store.remove()).toEqual([]);
});

/** Runs a script in a new container that is kept. */
async function container(name: string, script: string, image = "base"): Promise<void> {
  await store.ok("run", "--name", name, image, "sh", "-ec", script);
}

const show = (name: string, script: string): Promise<string> => store.ok("run", "--rm", name, "sh", "-c", script);
const diff = async (name: string): Promise<string[]> => (await store.ok("diff", name)).trim().split("\n");

test("a container's changes are its own: neither the image nor another container sees them, and rm loses them", async () => {
  const trees = readdirSync(store.root.layers).map((name) => join(store.root.layers, name, "tree"));
  const exact = () => Promise.all(trees.map((tree) => store.area.exact(tree)));
  const before = await exact();
  await container("mine", "echo changed >>/etc/motd; rm /data/one");
  expect(await show("base", "cat /etc/motd /data/one")).toBe("from the image\none\n");
  await store.ok("create", "--name", "other", "base", "cat", "/etc/motd");
  expect(await store.ok("start", "-a", "other")).toBe("from the image\n");
  expect(await diff("mine")).toEqual(["C /data", "D /data/one", "C /etc/motd"]);
  expect(await diff("other")).toEqual([""]);
  // They are there again at the next start.
  await store.ok("start", "mine");
  expect(await store.ok("wait", "mine")).toBe("1\n");
  expect((await store.run(["start", "-a", "mine"])).stderr).toContain("/data/one");
  const upper = join(
    (JSON.parse(await store.ok("inspect", "mine")) as [{ GraphDriver: { Data: { UpperDir: string } } }])[0].GraphDriver
      .Data.UpperDir,
  );
  expect(readFileSync(join(upper, "etc/motd"), "utf8")).toMatch(/^from the image\nchanged\n/);
  await store.ok("rm", "mine", "other");
  expect(existsSync(upper)).toBe(false);
  expect(await exact()).toEqual(before);
});

describe("diff", () => {
  test("added, changed and deleted, directories with what is in them", async () => {
    await container(
      "changes",
      "mkdir /new; echo x >/new/file; chmod 600 /data/two; chown 1:1 /data; ln -s x /tmp/link; rm -r /data/deep",
    );
    expect(await diff("changes")).toEqual([
      "C /data",
      "D /data/deep",
      "C /data/two",
      "A /new",
      "A /new/file",
      "C /tmp",
      "A /tmp/link",
    ]);
    expect(JSON.parse(await store.ok("diff", "--json", "changes"))).toContainEqual({ kind: "D", path: "/data/deep" });
    await store.ok("rm", "changes");
  });

  test("a directory made anew, one that was renamed, and a file in the place of a directory", async () => {
    await container("opaque", "rm -r /data; mkdir /data; echo new >/data/two");
    expect(await diff("opaque")).toEqual(["C /data", "D /data/deep", "D /data/one", "D /data/three", "C /data/two"]);
    await container("renamed", "mv /data /moved; rm /moved/one; echo x >/moved/more");
    expect(await diff("renamed")).toEqual(["D /data", "A /moved", "A /moved/more"]);
    await container("replaced", "rm -r /data/deep; echo x >/data/deep; mv /data/one /data/1");
    expect(await diff("replaced")).toEqual(["C /data", "A /data/1", "C /data/deep", "D /data/one"]);
    await store.ok("rm", "opaque", "renamed", "replaced");
  });

  test("what is added and removed again is no change", async () => {
    await container("nothing", "echo x >/data/x; rm /data/x; mkdir /data/y; rmdir /data/y; touch -r /bin /data");
    expect((await diff("nothing")).filter((line) => line !== "C /data")).toEqual([""].filter(() => false));
    await store.ok("rm", "nothing");
  });

  test("costs what the writable layer has, however much the image has", async () => {
    const big = store.area.at("tree-big");
    mkdirSync(join(big, "data"), { recursive: true });
    for (let i = 0; i < 400; i++) writeFileSync(join(big, "data", `file-${i}`), "");
    await store.image("big", [store.area.at("tree-base"), big]);
    await store.image("small", [store.area.at("tree-base"), await store.area.directory("tree-small")]);
    const calls: number[] = [];
    for (const image of ["small", "big"]) {
      await container(`cost-${image}`, "echo x >/data/mine; echo x >>/data/one; rm /data/two", image);
      const trace = store.area.at(`trace-${image}`);
      const words = ["--root", store.path, "diff", `cost-${image}`];
      const output = await command("strace", [
        "-f",
        "-o",
        trace,
        "-e",
        "trace=statx,getdents64,getxattr,listxattr",
        cowfsProgram,
        ...words,
      ]);
      expect(output).toBe("C /data\nA /data/mine\nC /data/one\nD /data/two\n");
      calls.push(readFileSync(trace, "latin1").split("\n").length);
      await store.ok("rm", `cost-${image}`);
    }
    const [small = 0, large = 0] = calls;
    expect(Math.abs(large - small)).toBeLessThan(30);
  });
});

describe("commit", () => {
  test("makes an image that has everything, also what the upper has only in part", async () => {
    await container(
      "work",
      "mv /data /moved; chmod 600 /moved/two; rm /moved/three; ln /moved/one /moved/hard; rm /etc/motd; mkdir -p /a/b; echo x >/a/b/c; chmod 4755 /bin/busybox",
    );
    const words = [
      "-m",
      "why",
      "-a",
      "who",
      "-c",
      'CMD ["cat", "/moved/deep/four"]',
      "-c",
      "ENV ONE=1",
      "work",
      "made:v1",
    ];
    const id = (await store.ok("commit", ...words)).trim();
    expect(id).toMatch(/^sha256:[0-9a-f]{64}$/);
    await store.ok("rm", "work");
    expect(
      await show(
        "made:v1",
        "ls / /moved /data /etc 2>/dev/null; stat -c %a /moved/two /bin/busybox; cat /moved/hard; echo $ONE",
      ),
    ).toBe(
      `${[
        ...["/:", "a", "bin", "dev", "etc", "moved", "proc", "root", "sys", "tmp", ""],
        ...["/etc:", "group", "hostname", "hosts", "mtab", "passwd", "resolv.conf", ""],
        ...["/moved:", "deep", "hard", "one", "two", "600", "4755", "one", "1"],
      ].join("\n")}\n`,
    );
    expect(await store.ok("run", "--rm", "made:v1")).toBe("deep/four\n");
    const history = JSON.parse(await store.ok("image", "history", "--json", "made:v1")) as { comment?: string }[];
    expect(JSON.stringify(history)).toContain("why");
    // A container of it goes on from there.
    await container("next", "echo y >>/moved/two", "made:v1");
    expect(await diff("next")).toEqual(["C /moved/two"]);
    await store.ok("rm", "next");
    await store.ok("image", "rm", "made:v1");
  });

  test("of a container that runs, whose processes stand still meanwhile", async () => {
    await store.ok("run", "-d", "--name", "busy", "base", "sh", "-c", "while :; do echo x >>/log; cp /log /copy; done");
    await store.ok("commit", "busy", "running");
    expect(await store.ok("exec", "busy", "echo", "goes on")).toBe("goes on\n");
    await store.ok("rm", "-f", "busy");
    expect((await show("running", "test -s /log && echo log")).trim()).toBe("log");
    await store.ok("image", "rm", "running");
  });
});

test("export writes the merged tree", async () => {
  await container("tree", "rm /data/one; echo x >/data/new; mv /data/deep /data/deeper; mkfifo /data/fifo");
  const archive = store.area.at("tree.tar");
  await store.ok("export", "-o", archive, "tree");
  const names = (await command("tar", ["-tf", archive])).trim().split("\n");
  expect(names.filter((name) => /^(\.\/)?data\//.test(name)).map((name) => name.replace(/^\.\//, ""))).toEqual([
    "data/",
    "data/deeper/",
    "data/deeper/four",
    "data/fifo",
    "data/new",
    "data/three",
    "data/two",
  ]);
  const piped = await shell(`${cowfsProgram} --root ${store.path} export tree | cmp - ${archive} && echo same`);
  expect(piped).toBe("same\n");
  await store.ok("rm", "tree");
});

describe("cp", () => {
  const host = (...names: string[]): string => store.area.at("host", ...names);

  beforeAll(async () => {
    mkdirSync(host("dir/sub"), { recursive: true });
    writeFileSync(host("dir/sub/file"), "file\n");
    chmodSync(host("dir/sub/file"), 0o640);
    writeFileSync(host("plain"), "plain\n");
    execFileSync("chown", ["1000:50", host("plain"), host("dir/sub/file")]);
    symlinkSync("plain", host("link"));
    await container(
      "box",
      "mkdir -p /there/already; echo old >/there/file; ln -s /etc /there/out; ln -s ../../../../there /there/up; chown 1000 /there/file",
    );
  });

  afterAll(async () => {
    await store.ok("rm", "-f", "box");
  });

  test("into a container: files and directories, by Docker's rules", async () => {
    await store.ok("cp", host("plain"), "box:/there/file"); // over a file
    await store.ok("cp", host("plain"), "box:/there/already"); // into a directory
    await store.ok("cp", host("plain"), "box:new-name"); // a new name
    await store.ok("cp", host("dir"), "box:/there/already"); // under its own name
    await store.ok("cp", `${host("dir")}/.`, "box:/there/already"); // its contents
    await store.ok("cp", host("dir"), "box:/there/copy"); // as a new name
    await store.ok("cp", "-a", host("plain"), "box:/there/kept");
    await store.ok("cp", host("link"), "box:/there/link");
    await store.ok("cp", "-L", host("link"), "box:/there/followed");
    await store.ok("cp", host("plain"), "box:/there/out/inside"); // through a link, which stays in the container
    await store.ok("commit", "box", "looked");
    const script =
      "cd /there; cat file already/plain /new-name already/dir/sub/file already/sub/file copy/sub/file followed /etc/inside; readlink link; stat -c '%u %g %a' file kept copy/sub/file";
    expect(await show("looked", script)).toBe(
      `${["plain", "plain", "plain", "file", "file", "file", "plain", "plain", "plain", "0 0 644", "1000 50 644", "0 0 640"].join("\n")}\n`,
    );
    await store.ok("image", "rm", "looked");
    expect(existsSync("/etc/inside")).toBe(false);
  });

  test("what cannot be is said in one line", async () => {
    const failing = async (...words: string[]): Promise<string> => {
      const { status, stderr } = await store.run(["cp", ...words]);
      expect(status).toBe(1);
      return stderr;
    };
    expect(await failing(host("none"), "box:/x")).toMatch(/^cowfs: .*none: no such file or directory\n$/);
    expect(await failing(host("dir"), "box:/there/file")).toBe(
      "cowfs: box:/there/file: a directory cannot be copied over a file\n",
    );
    expect(await failing(host("plain"), "box:/nowhere/x")).toBe("cowfs: box:/nowhere: no such file or directory\n");
    expect(await failing(host("plain"), "box:/nowhere/")).toBe("cowfs: box:/nowhere/: no such directory\n");
    expect(await failing(`${host("plain")}/`, "box:/x")).toMatch(/no directory|no such file/);
    expect(await failing("box:/none", host("x"))).toBe("cowfs: box:/none: no such file or directory\n");
    for (const ends of [
      [host("plain"), host("other")],
      ["box:", host("other")],
      [host("plain"), "box:"],
    ]) {
      expect((await store.run(["cp", ...ends])).status).toBe(2);
    }
  });

  test("into a container whose root is read-only only what is mounted over it can be written, whatever the path says", async () => {
    await store.ok("create", "--name", "fixed", "--read-only", "-v", "/data", "base", "true");
    await store.ok("cp", host("plain"), "fixed:/data/x");
    await store.ok("cp", host("plain"), "fixed:/tmp/../data/y");
    for (const path of ["/x", "/data/../x", "/data/../tmp/x"]) {
      expect(await store.run(["cp", host("plain"), `fixed:${path}`])).toEqual({
        status: 1,
        stdout: "",
        stderr: "cowfs: the root of container fixed is read-only\n",
      });
    }
    expect(await store.ok("diff", "fixed")).toBe("");
    await store.ok("rm", "-v", "fixed");
  });

  test("out of a container: symbolic links are resolved inside it", async () => {
    await store.ok("cp", "box:/there/up/out/passwd", host("passwd"));
    expect(readFileSync(host("passwd"), "utf8")).toContain("user:x:1000");
    await store.ok("cp", "box:/there/out", host("as-link"));
    expect(readlinkSync(host("as-link"))).toBe("/etc");
    await store.ok("cp", "-L", "box:/there/out", host("as-directory"));
    expect(readFileSync(host("as-directory/motd"), "utf8")).toBe("from the image\n");
    await store.ok("cp", "box:/data/.", host("dir"));
    expect(readFileSync(host("dir/deep/four"), "utf8")).toBe("deep/four\n");
    expect(lstatSync(host("dir/one")).uid).toBe(0);
  });

  test("archives, and a container that runs, with its volumes", async () => {
    const mounted = ["-v", `${store.area.at("shared")}:/shared`];
    await store.ok("run", "-d", "--name", "live", ...mounted, "base", "sh", "-c", "while :; do sleep 0.1; done");
    const program = `${cowfsProgram} --root ${store.path}`;
    await shell(`tar -C ${host()} -cf - plain dir | ${program} cp - live:/shared`);
    expect(readFileSync(store.area.at("shared/dir/sub/file"), "utf8")).toBe("file\n");
    expect(await store.ok("exec", "live", "cat", "/shared/plain")).toBe("plain\n");
    expect(await shell(`${program} cp live:/shared/dir - | tar -tf - | sort`)).toContain("dir/sub/file\n");
    expect(await shell(`${program} cp live:/etc/motd - | tar -xOf - motd`)).toBe("from the image\n");
    // An archive cannot lead out of the container, whatever links there are.
    await store.ok("exec", "live", "ln", "-s", store.area.path, "/escape");
    await shell(`mkdir -p ${host("bad/escape")}; echo x >${host("bad/escape/pwned")}`);
    const { stderr } = await attempt("sh", ["-c", `tar -C ${host("bad")} -cf - escape | ${program} cp - live:/`]);
    expect(stderr).toContain("escape: a directory cannot replace what is there");
    expect(existsSync(store.area.at("pwned"))).toBe(false);
    await store.ok("rm", "-f", "live");
  });
});

/** Mounts over a mount: every form of -v, --mount, --tmpfs and --volumes-from, in containers and with `cowfs mount`. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { attempt, command, type Ended, shell } from "./harness/command.js";
import { mountAt, mountInfo } from "./harness/namespace.js";
import { busyboxTree, Store } from "./harness/store.js";

let store: Store;

/** Says a word on a socket, and prints the answer. */
const talk = `
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
int main(int argc, char **argv) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  char answer[100];
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  strncpy(address.sun_path, argv[1], sizeof address.sun_path - 1);
  if (argc != 3 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) return perror(argv[1]), 1;
  if (write(fd, argv[2], strlen(argv[2])) < 0) return 1;
  for (ssize_t got; (got = read(fd, answer, sizeof answer)) > 0;) fwrite(answer, 1, got, stdout);
}
`;

beforeAll(async () => {
  store = new Store();
  const tree = await busyboxTree(store.area.at("tree"));
  await store.area.build(tree, {
    "data/file": { data: "from the image", mode: 0o640, uid: 12, gid: 34, xattrs: { "user.name": "value" } },
    "data/other": { type: "hard", target: "data/file" },
    "data/sub/deep": "deep",
    "data/": { mode: 0o750, uid: 1000, gid: 50 },
    "sticky/": { mode: 0o1777, uid: 7, gid: 8 },
    plain: "a file",
    absolute: { type: "link", target: "/etc" },
    dangling: { type: "link", target: "../../../made/by/link" },
  });
  await store.image("base", [tree]);
  await store.image("volumes", [tree], { Volumes: { "/data": {}, "/none/yet": {} } });
  await store.image("wrong", [tree], { Volumes: { "/plain": {} } });
  mkdirSync(store.area.at("host/sub"), { recursive: true });
  writeFileSync(store.area.at("host/file"), "from the host");
  mkdirSync(store.area.at("m"));
});

afterAll(async () => {
  expect(await store.remove()).toEqual([]);
});

const at = (path: string): string => store.area.at(path);

/** Runs a shell script in a container that is removed afterwards. */
function sh(words: readonly string[], script: string, image = "base"): Promise<Ended> {
  return store.run(["run", "--rm", ...words, image, "sh", "-c", script]);
}

async function said(words: readonly string[], script: string, image = "base"): Promise<string> {
  const ended = await sh(words, script, image);
  if (ended.status !== 0 || ended.stderr !== "") throw new Error(`${words.join(" ")}: ${JSON.stringify(ended)}`);
  return ended.stdout;
}

describe("forms", () => {
  test("a bind of a directory and of a file, read-only or not; a missing source of -v is made", async () => {
    const words = [
      "-v",
      `${at("host")}:/mnt/host`,
      "-v",
      `${at("host/file")}:/mnt/one:ro`,
      "-v",
      `${at("new/dir")}:/new`,
    ];
    const script = [
      "cat /mnt/host/file /mnt/one",
      "echo >/mnt/one",
      "echo written >/mnt/host/written",
      "echo x >/new/x",
      "stat -c '%a %F' /mnt /mnt/one",
    ];
    const { status, stdout, stderr } = await sh(words, script.join("; "));
    expect(status).toBe(0);
    expect(stdout).toBe("from the hostfrom the host755 directory\n644 regular file\n");
    expect(stderr).toContain("Read-only file system");
    expect(readFileSync(at("host/written"), "utf8")).toBe("written\n");
    expect(statSync(at("new/dir")).mode & 0o7777).toBe(0o755);
    expect(readdirSync(at("new/dir"))).toEqual(["x"]);
  });

  test("--mount: bind, volume, tmpfs, image; targets in the order of their depth", async () => {
    const words = [
      ...["--mount", `type=bind,source=${at("host")},target=/x/y/host,readonly`],
      ...["--mount", "type=tmpfs,target=/x,tmpfs-size=1m,tmpfs-mode=1750"],
      ...["--mount", "source=vol1,target=/x/y"],
      ...["--mount", "type=image,source=base,target=/image"],
      ...["--mount", "type=image,source=base,target=/part,image-subpath=data/sub"],
    ];
    const script = [
      "stat -c %a /x",
      "cat /x/y/host/file /image/data/file /part/deep",
      "dd if=/dev/zero of=/x/big bs=1M count=2 2>&1 | grep -o 'No space'",
      "echo >/image/data/file",
      "echo kept >/x/y/kept",
    ];
    const { stdout, stderr } = await sh(words, script.join("; "));
    expect(stdout).toBe("1750\nfrom the hostfrom the imagedeepNo space\n");
    expect(stderr).toContain("Read-only file system");
    expect(readdirSync(at("root/volumes/vol1/_data")).sort()).toEqual(["host", "kept"]);
  });

  test("--tmpfs: noexec, nosuid, nodev; the mode of the directory stays unless one is given", async () => {
    const words = ["--tmpfs", "/sticky", "--tmpfs", "/data:rw,size=64k,mode=700,exec", "--tmpfs", "/fresh:ro"];
    const script =
      "stat -c '%a %u:%g' /sticky /data /fresh; ls /data; grep -E ' /(sticky|data|fresh) ' /proc/mounts; echo >/fresh/x";
    const { stdout } = await sh(words, script);
    const lines = stdout.trim().split("\n");
    expect(lines.slice(0, 3)).toEqual(["1777 7:8", "700 1000:50", "1777 0:0"]);
    const options = lines.slice(3).map((line) => line.split(" ")[3]?.split(","));
    expect(options[0]).toEqual(expect.arrayContaining(["rw", "nosuid", "nodev", "noexec"]));
    expect(options[1]).toEqual(expect.arrayContaining(["rw", "nosuid", "nodev", "size=64k"]));
    expect(options[1]).not.toContain("noexec");
    expect(options[2]).toContain("ro");
  });

  test("read-only goes for what is mounted below, unless that is left out or may be written", async () => {
    mkdirSync(at("tree/below"), { recursive: true });
    await command("mount", ["-t", "tmpfs", "tmpfs", at("tree/below")]);
    try {
      const bind = `type=bind,source=${at("tree")},target=/t,readonly`;
      const script = "touch /t/x 2>/dev/null || echo ro; touch /t/below/x 2>/dev/null && echo rw || echo ro";
      expect(await said(["--mount", bind], script)).toBe("ro\nro\n");
      expect(await said(["--mount", `${bind},bind-recursive=writable`], script)).toBe("ro\nrw\n");
      expect(await said(["--mount", `${bind},bind-recursive=readonly,bind-propagation=rprivate`], script)).toBe(
        "ro\nro\n",
      );
      const shallow = `type=bind,source=${at("tree")},target=/t,bind-recursive=disabled`;
      expect(await said(["--mount", shallow], "grep -c ' /t/below' /proc/mounts || echo none")).toBe("0\nnone\n");
    } finally {
      await command("umount", [at("tree/below")]);
    }
  });

  test("a target through links of the image stays inside; what they lead to is made", async () => {
    const words = ["-v", `${at("host")}:/absolute/inside`, "-v", `${at("host/file")}:/dangling`];
    expect(await said(words, "cat /etc/inside/file /made/by/link")).toBe("from the hostfrom the host");
    expect(existsSync("/etc/inside")).toBe(false);
    expect(existsSync("/made")).toBe(false);
  });

  test("a part of a volume", async () => {
    await store.ok("volume", "create", "parts");
    await store.area.build(at("root/volumes/parts/_data"), { "a/b/file": "part" });
    symlinkSync("/etc", at("root/volumes/parts/_data/out"));
    expect(await said(["--mount", "src=parts,dst=/p,volume-subpath=a/b"], "cat /p/file")).toBe("part");
    const { status, stderr } = await sh(["--mount", "src=parts,dst=/p,volume-subpath=out"], "true");
    expect([status, stderr]).toEqual([125, `cowfs: out does not exist in ${at("root/volumes/parts/_data")}\n`]);
  });
});

describe("volumes of containers", () => {
  test("what the image has is copied into an empty volume, once; what is changed there stays", async () => {
    const look = "stat -c '%a %u:%g %h' /data /data/file; cat /data/file /data/sub/deep";
    expect(await said(["-v", "fill:/data"], `${look}; echo more >/data/more; rm /data/file`)).toBe(
      "750 1000:50 3\n640 12:34 2\nfrom the imagedeep",
    );
    expect(readdirSync(at("root/volumes/fill/_data")).sort()).toEqual(["more", "other", "sub"]);
    const attributes = await command("getfattr", ["-d", "--absolute-names", at("root/volumes/fill/_data/other")]);
    expect(attributes).toContain('user.name="value"');
    expect(await said(["-v", "fill:/data"], "ls /data")).toBe("more\nother\nsub\n");
    expect(await said(["-v", "empty:/data:nocopy"], "ls /data")).toBe("");
    expect(await said(["--mount", "src=empty,dst=/data,volume-nocopy"], "ls /data")).toBe("");
    expect(await said(["-v", `${at("host/sub")}:/data`], "ls /data")).toBe("");
  });

  test("what a container has removed from its volume does not come back at its next start; an image that is mounted stays", async () => {
    await store.image("other", [store.area.at("tree")], { Env: ["PATH=/bin", "OTHER=1"] });
    const words = ["--mount", "type=image,source=other,target=/image", "-v", "again:/data"];
    await store.ok(
      "create",
      "--name",
      "again",
      ...words,
      "base",
      "sh",
      "-c",
      "cat /image/data/sub/deep; ls -A /data; rm -r /data/*",
    );
    expect(await store.ok("start", "-a", "again")).toBe("deepfile\nother\nsub\n");
    expect(await store.ok("start", "-a", "again").catch(String)).toContain("deep");
    expect(readdirSync(at("root/volumes/again/_data"))).toEqual([]);
    expect((await store.run(["image", "rm", "other"])).stderr).toContain("again");
    await store.ok("rm", "again");
    await store.ok("image", "rm", "other");
  });

  test("VOLUMEs of an image are anonymous volumes, filled; those whose target is taken are passed over; --rm removes them", async () => {
    const script = "cat /data/sub/deep; ls -d /none/yet; grep -c -E ' (/data|/none/yet) ' /proc/mounts";
    expect(await said([], script, "volumes")).toBe("deep/none/yet\n2\n");
    expect(await said(["--tmpfs", "/data"], "ls /data; grep -c -E ' (/data|/none/yet) ' /proc/mounts", "volumes")).toBe(
      "2\n",
    );
    const anonymous = async () =>
      (await store.ok("volume", "ls", "-q", "-f", "label=com.docker.volume.anonymous"))
        .split("\n")
        .filter((name) => name !== "");
    expect(await anonymous()).toEqual([]);
    // Without --rm they stay with the container, and go with `rm -v`; one that another container uses stays.
    await store.ok("run", "--name", "first", "-v", "/own", "volumes", "sh", "-c", "echo kept >/own/kept");
    expect(await anonymous()).toHaveLength(3);
    expect(await said(["--volumes-from", "first"], "cat /own/kept")).toBe("kept\n");
    expect(await anonymous()).toHaveLength(3);
    await store.ok("create", "--name", "second", "--volumes-from", "first", "base");
    await store.ok("rm", "-v", "first");
    expect(await anonymous()).toHaveLength(3);
    await store.ok("rm", "-v", "second");
    expect(await anonymous()).toEqual([]);
  });

  test("--volumes-from: binds and volumes with their modes, nothing copied, overridden without a word", async () => {
    const words = ["-v", "shared:/shared", "-v", "frozen:/frozen:ro", "-v", `${at("host")}:/host`, "--tmpfs", "/mem"];
    await store.ok("create", "--name", "source", ...words, "base");
    const writable =
      "for d in shared frozen host; do touch /$d/touched 2>/dev/null && echo $d; done; grep -c ' /mem ' /proc/mounts";
    expect(await said(["--volumes-from", "source"], `${writable} || true`)).toBe("shared\nhost\n0\n");
    expect(await said(["--volumes-from", "source:ro"], `${writable} || true`)).toBe("0\n");
    expect(await said(["--volumes-from", "source", "--tmpfs", "/host"], "ls /host")).toBe("");
    expect(await store.run(["volume", "rm", "shared"])).toMatchObject({
      status: 1,
      stderr: "cowfs: remove shared: volume is in use - [source]\n",
    });
    await store.ok("rm", "source");
    expect(await store.ok("volume", "rm", "shared", "frozen")).toBe("shared\nfrozen\n");
  });

  test("two containers share a volume, and talk with each other and the host by named pipes", async () => {
    const reader = "mkfifo /p/fifo /h/fifo; cat /p/fifo >/p/got; cat /h/fifo >/h/got; sleep 600";
    const words = ["-v", "pipes:/p", "-v", `${at("host")}:/h`, "base", "sh", "-c", reader];
    await store.ok("run", "-d", "--name", "reader", ...words);
    const write = "until [ -p /q/fifo ]; do sleep 0.05; done; echo from the other >/q/fifo";
    await said(["-v", "pipes:/q"], `${write}; until [ -s /q/got ]; do sleep 0.05; done`);
    expect(readFileSync(at("root/volumes/pipes/_data/got"), "utf8")).toBe("from the other\n");
    await shell(`echo from the host >${at("host/fifo")}; until [ -s ${at("host/got")} ]; do sleep 0.05; done`);
    expect(readFileSync(at("host/got"), "utf8")).toBe("from the host\n");
    await store.ok("rm", "-f", "reader");
  });

  test("a unix socket in a bind and one in a volume lead to a process of the host", async () => {
    writeFileSync(at("talk.c"), talk);
    await command("cc", ["-static", "-o", at("host/talk"), at("talk.c")]);
    await store.ok("volume", "create", "sockets");
    const data = at("root/volumes/sockets/_data");
    const servers = await Promise.all(
      [at("host/socket"), `${data}/socket`].map(async (path) => {
        const server = createServer((client) => client.on("data", (text) => client.end(`heard ${text}`)));
        await new Promise<void>((resolve) => server.listen(path, resolve));
        return server;
      }),
    );
    try {
      const words = ["-v", `${at("host")}:/h`, "-v", "sockets:/s"];
      expect(await said(words, "/h/talk /h/socket one; /h/talk /s/socket two")).toBe("heard oneheard two");
    } finally {
      for (const server of servers) server.close();
    }
  });
});

describe("errors", () => {
  test("what is wrong is said as docker says it, with exit code 125, and nothing is left", async () => {
    chmodSync(at("host/file"), 0o644);
    const missing = at("no/source");
    const refused: [string[], string | RegExp][] = [
      [["-v", ""], "invalid empty volume spec"],
      [["-v", "a::/b"], "invalid spec: a::/b: empty section between colons"],
      [["-v", "aa:/b:ro:z"], "invalid spec: aa:/b:ro:z: too many colons"],
      [["-v", "/x:ro"], "invalid volume specification: '/x:ro'"],
      [["-v", "vol:/"], "invalid volume specification: 'vol:/': invalid specification: destination can't be '/'"],
      [["-v", "vol:x"], "invalid volume specification: 'vol:x': invalid mount path: 'x' mount path must be absolute"],
      [["--mount", "type=bind,target=/x,k=v"], "unknown option 'k' in 'k=v'"],
      [["--mount", "target"], "invalid field 'target' must be a key=value pair"],
      [["--mount", "target=/x,bind-propagation=shared"], "cannot mix 'bind-*' options with mount type 'volume'"],
      [
        ["--mount", `type=bind,source=${missing},target=/x`],
        `invalid mount config for type "bind": bind source path does not exist: ${missing}`,
      ],
      [["-v", "vol:/x", "--tmpfs", "/x"], "Duplicate mount point: /x"],
      [["-v", "vol:/plain"], "cannot mount volume over existing file, file exists /plain"],
      [["-v", `${at("host")}:/plain`], /cannot be mounted at \/plain: not a directory/],
      [["-v", `${at("host/file")}:/data`], /cannot be mounted at \/data: not a directory/],
      [["--volumes-from", "nobody"], /nobody/],
      [["--mount", "type=image,source=nosuch,target=/x"], /nosuch/],
    ];
    for (const [words, message] of refused) {
      const { status, stderr } = await sh(words, "true");
      expect([words, status]).toEqual([words, 125]);
      if (typeof message === "string") expect(stderr).toBe(`cowfs: ${message}\n`);
      else expect(stderr).toMatch(message);
    }
    const wrong = await sh([], "true", "wrong");
    expect([wrong.status, wrong.stderr]).toEqual([
      125,
      "cowfs: cannot mount volume over existing file, file exists /plain\n",
    ]);
    expect(existsSync(missing)).toBe(false);
    expect(await store.ok("ps", "-aq")).toBe("");
    expect(store.area.mounts()).toEqual([]);
  });
});

describe("propagation", () => {
  test("private, slave and shared; what is below a shared bind outlives the mount", async () => {
    mkdirSync(at("peer/inner"), { recursive: true });
    await command("mount", ["-t", "tmpfs", "tmpfs", at("peer")]);
    mkdirSync(at("peer/inner"));
    mkdirSync(at("peer/later"));
    const image = ["mount", "--image", "base", "--upper", at("up")];
    const bind = (propagation: string, target: string) => [
      "--mount",
      `type=bind,source=${at("peer")},target=${target},bind-propagation=${propagation}`,
    ];
    try {
      const refused = await store.run([...image, ...bind("rshared", "/s"), at("m")]);
      expect(refused).toMatchObject({
        status: 1,
        stderr: `cowfs: path ${at("peer")} is mounted on ${at("peer")} but it is not a shared mount\n`,
      });
      expect(mountAt(at("m"))).toBeUndefined();
      await command("mount", ["--make-shared", at("peer")]);
      await store.ok(...image, ...bind("rprivate", "/p"), ...bind("rslave", "/l"), ...bind("rshared", "/s"), at("m"));
      await command("mount", ["-t", "tmpfs", "tmpfs", at("peer/later")]);
      await command("mount", ["-t", "tmpfs", "tmpfs", at("m/s/inner")]);
      expect([at("m/p/later"), at("m/l/later"), at("m/s/later")].map((path) => mountAt(path) !== undefined)).toEqual([
        false,
        true,
        true,
      ]);
      expect(mountAt(at("peer/inner"))).toBeDefined();
      await store.ok("umount", at("m"));
      expect(mountAt(at("peer/inner"))).toBeDefined();
      expect(mountAt(at("peer/later"))).toBeDefined();
    } finally {
      await attempt("umount", ["-R", at("peer")]);
    }
  });
});

describe("cowfs mount", () => {
  test("a failure half-way undoes everything", async () => {
    const words = [
      "mount",
      "--image",
      "base",
      "--upper",
      at("half"),
      "--tmpfs",
      "/a",
      "-v",
      "vol9:/b",
      "-v",
      `${at("host")}:/plain`,
    ];
    expect((await store.run([...words, at("m")])).stderr).toMatch(/not a directory/);
    expect(store.area.mounts()).toEqual([]);
    expect(store.area.processes()).toEqual([]);
  });

  test("in use: the holder is named, and nothing is undone; --lazy and a killed driver", async () => {
    const words = ["mount", "--image", "base", "--upper", at("used"), "--tmpfs", "/a", "-v", "vol9:/b", at("m")];
    await store.ok(...words);
    const holder = command("sleep", ["600"], { cwd: at("m/a") }).catch(() => {});
    const pid = (
      await command("sh", ["-c", `until fuser -s ${at("m/a")}; do sleep 0.05; done; fuser ${at("m/a")} 2>/dev/null`])
    ).trim();
    const { status, stderr } = await store.run(["umount", at("m")]);
    expect([status, stderr]).toEqual([1, expect.stringContaining(`process ${pid} (sleep) works in ${at("m/a")}`)]);
    expect(mountInfo().filter(({ mountpoint }) => mountpoint.startsWith(at("m/")))).toHaveLength(2);
    process.kill(Number(pid), "SIGKILL");
    await holder;
    await store.ok("umount", "--lazy", at("m"));
    expect(store.area.mounts()).toEqual([]);

    await store.ok(...words);
    const mounts = JSON.parse(await store.ok("mounts", "--json")) as { mountpoint: string; pid: number }[];
    process.kill(mounts.find(({ mountpoint }) => mountpoint === at("m"))?.pid ?? 0, "SIGKILL");
    await command("sh", ["-c", `while ls ${at("m")} >/dev/null 2>&1; do sleep 0.05; done`]);
    await store.ok("umount", at("m"));
    expect(store.area.mounts()).toEqual([]);
  });

  test("wrong usage", async () => {
    for (const [words, message] of [
      [["-f", "-v", "/x", at("m")], /--foreground cannot be had/],
      [["-v", "x", at("m")], /mount path must be absolute/],
      [["--lower", at("host"), at("m")], /--image stands in place of --lower/],
    ] as const) {
      const { status, stderr } = await store.run(["mount", "--image", "base", ...words]);
      expect([status, stderr]).toEqual([2, expect.stringMatching(message)]);
    }
    expect((await store.run(["mount", "--image", "bas", at("m")])).stderr).toMatch(/base/);
  });
});

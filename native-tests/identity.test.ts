/** Whose files are: id mappings beside an idmapped mount of the kernel, squashed ids, stored owners. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Area } from "./harness/area.js";
import { attempt, command, shell } from "./harness/command.js";
import { cowfs } from "./harness/mounts.js";

let area: Area;

beforeEach(() => {
  area = new Area();
  for (const name of ["l", "m", "idmapped"]) mkdirSync(area.at(name));
});

afterEach(async () => {
  expect(await area.remove()).toEqual([]);
});

const run = (script: string): Promise<string> => shell(`cd ${area.path}\n${script}`);

async function mount(options: string): Promise<void> {
  await run("[ -d u ] || mkdir -m 777 u");
  const words = ["mount", "--lower", "l", "--upper", "u", "--work", "w", "--log", "log", "-o", options, "m"];
  expect(await cowfs(words, { cwd: area.path })).toEqual({ status: 0, stdout: "", stderr: "" });
}

async function unmount(): Promise<void> {
  expect(await cowfs(["umount", area.at("m")])).toEqual({ status: 0, stdout: "", stderr: "" });
}

/** open_tree(2), mount_setattr(2) with MOUNT_ATTR_IDMAP, move_mount(2): ids from 0 on are shown as those from 100000 on. */
const idmap = `
import ctypes, os, struct, sys
c = ctypes.CDLL(None, use_errno=True)
def call(*words):
    r = c.syscall(*words)
    if r < 0: sys.exit(os.strerror(ctypes.get_errno()))
    return r
ready, done = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    os.close(done[1])
    os.write(ready[1], b'1' if c.unshare(0x10000000) == 0 else b'0')
    os.read(done[0], 1)
    os._exit(0)
if os.read(ready[0], 1) != b'1': sys.exit('no user namespace')
for kind in 'uid', 'gid':
    with open(f'/proc/{child}/{kind}_map', 'w') as f: f.write('0 100000 65536')
ns = os.open(f'/proc/{child}/ns/user', os.O_RDONLY)
tree = call(428, -100, sys.argv[1].encode(), 0x80001)
attributes = struct.pack('QQQQ', 0x100000, 0, 0, ns)
call(442, tree, b'', 0x1000, attributes, len(attributes))
call(429, tree, b'', -100, sys.argv[2].encode(), 4)
os.close(done[1])
os.waitpid(child, 0)
`;

async function mountIdmapped(from: string): Promise<void> {
  await command("python3", ["-c", idmap, area.at(from), area.at("idmapped")]);
}

/** What several users do in a tree whose ids are shifted by 100000, with every answer. */
const actions = `
exec 2>&1
as() { setpriv --reuid "$1" --regid "$1" --clear-groups "\${@:2}"; }
try() { "$@" && echo done; true; }
cd "$1"
try touch by-root
try mkdir by-root
try ln -s x by-root
try as 100005 touch pub/f
try as 100005 mkdir pub/d
try as 100005 ln -s x pub/s
try as 100005 mkfifo pub/p
try as 100006 sh -c 'echo x > mine'
try as 100005 sh -c 'echo x >> mine'
try as 100005 chmod 6755 mine
try as 100005 touch sg/f
try as 100005 touch acl/f
try chown 5 mine
try chgrp 5 mine
try chown 100007:100008 other
try setfacl -m u:100009:rw mine
try setfacl -m u:9:rw mine
try as 100009 sh -c 'echo x >> mine'
stat -c '%n %u:%g %a' * pub/* sg/* acl/*
getfacl -n mine acl acl/f
`;

const layer = `
  mkdir l/pub l/sg l/acl; chmod 777 l/pub l/acl; touch l/mine l/other l/foreign; chown 5:5 l/mine; chown 300000:300000 l/foreign
  chgrp 77 l/sg; chmod 2777 l/sg; setfacl -d -m u:9:rwx l/acl
`;
const disk = `cd "$1"; for f in mine other pub/* sg/* acl/*; do stat -c '%n %u:%g %a' $f; done; getfacl -n mine acl/f`;
const podman = ",,volatile,uidmapping=:0:100000:65536,gidmapping=:0:100000:65536";

describe("ids that differ between disk and users", () => {
  test("a mapping answers and stores as an idmapped mount of the kernel does", async () => {
    await run(layer);
    await run("cp -a l native; chmod 755 native");
    writeFileSync(area.at("actions"), actions);
    await mountIdmapped("native");
    const wanted = await run(`bash actions ${area.at("idmapped")}`);
    await run("umount idmapped");
    await mount(podman);
    expect(await run(`bash actions ${area.at("m")}`)).toBe(wanted);
    await unmount();
    writeFileSync(area.at("disk"), disk);
    expect(await run("bash disk u")).toBe(await run("bash disk native"));
  });

  test("a mount of cowfs can be idmapped, with and without a mapping of its own", async () => {
    await run(layer);
    await run("cp -a l native; chmod 755 native");
    writeFileSync(area.at("actions"), actions);
    await mountIdmapped("native");
    const wanted = await run(`bash actions ${area.at("idmapped")}`);
    await run("umount idmapped");
    await mount("volatile");
    await mountIdmapped("m");
    expect(await run(`bash actions ${area.at("idmapped")}`)).toBe(wanted);
    await run("umount idmapped");
    await unmount();
    writeFileSync(area.at("disk"), disk);
    expect(await run("bash disk u")).toBe(await run("bash disk native"));
  });

  test("a lower layer in an idmapped mount shows, and is copied with, the ids of that mount", async () => {
    await run("touch l/f; chown 5:6 l/f; mkdir l/d; chown 7:8 l/d");
    await mountIdmapped("l");
    await run("mkdir u");
    const words = ["mount", "--lower", "idmapped", "--upper", "u", "--work", "w", "m"];
    expect(await cowfs(words, { cwd: area.path })).toMatchObject({ status: 0 });
    expect(await run("stat -c %u:%g m/f m/d; echo x >> m/f; touch m/d/new; stat -c %u:%g m/f m/d u/f u/d")).toBe(
      "100005:100006\n100007:100008\n100005:100006\n100007:100008\n100005:100006\n100007:100008\n",
    );
    await unmount();
    await run("umount idmapped");
    expect(await run("stat -c %u:%g l/f")).toBe("5:6\n");
  });

  test("squashed ids are shown only; what is stored is what was asked for", async () => {
    await run("touch l/f; chown 5:6 l/f; mkdir -m 777 l/d");
    await mount("squash_to_root,squash_to_uid=1000");
    const script = `
      stat -c %u:%g m/f; chown 7:8 m/f; stat -c %u:%g m/f
      setpriv --reuid 2000 --regid 2000 --clear-groups mkdir m/d/x; stat -c %u:%g m/d/x; stat -c %u:%g u/f u/d/x`;
    expect(await run(script)).toBe("1000:0\n1000:0\n1000:0\n7:8\n2000:2000\n");
    await unmount();
  });

  test("malformed options are wrong usage", async () => {
    for (const option of ["uidmapping=0:1", "gidmapping=a:b:c", "uidmapping=0:0:9:5:20:9", "squash_to_uid=root"]) {
      const answer = await cowfs(["mount", "--lower", "l", "-o", option, "m"], { cwd: area.path });
      expect(answer.status, option).toBe(2);
      expect(answer.stderr).toMatch(/^cowfs: .*=.*\n$/);
    }
  });
});

/** What is done where owners are stored must look as it does without. */
const changes = `
exec 2>&1
cd "$1"; umask 027
as() { setpriv --reuid "$1" --regid "$1" --clear-groups "\${@:2}"; }
echo x > new; mkdir nd; mkfifo np; mknod nc c 1 5; mknod nb b 7 9
as 1000 sh -c 'umask 0; touch sg/f; mkdir sg/d; mkfifo sg/p; touch acl/f; mkdir acl/d; rm sg/p; chmod 4755 sg/f'
chown 10:11 f; chown 14:15 d; chmod 4755 new; chown 16:17 p; chmod 600 c; chown 9:9 np; setfacl -m u:1234:rw f; chown 8:8 cap
as 1001 sh -c 'echo x >> sg/f' || echo refused
as 10 sh -c 'echo x >> f; cat f'
head -c 3 nc | od -An -tx1
rmdir nd; mkdir nd
stat -c '%n %F %a %u:%g %t,%T' * sg/* acl/*
getfacl -n f acl/*
getcap cap
`;

describe("stored owners", () => {
  for (const kind of [1, 2]) {
    test(`xattr_permissions=${kind} looks as it does without, and the disk belongs to the driver`, async () => {
      await run(`
        echo x > l/f; mkdir l/d l/sg l/acl; mkfifo l/p; mknod l/c c 1 3; chown 5:6 l/f l/d l/p; chmod 4755 l/f
        chgrp 77 l/sg; chmod 2777 l/sg; chmod 777 l/acl; setfacl -d -m u:9:rwx l/acl; touch l/cap; setcap cap_net_raw+ep l/cap
        cp -a l native; chmod 755 native`);
      writeFileSync(area.at("changes"), changes);
      const wanted = await run("bash changes native");
      await mount(`xattr_permissions=${kind}`);
      expect(await run("bash changes m")).toBe(wanted);
      const name = kind === 1 ? "security.fuseoverlayfs.override_stat" : "user.containers.override_stat";
      expect(await attempt("setfattr", ["-n", name, "-v", "0:0:4755", area.at("m/new")])).toMatchObject({
        status: 1,
        stderr: expect.stringContaining("not permitted"),
      });
      expect(await run("getfattr -d -m - m/new m/np")).not.toContain("override_stat");
      const final = "cd m; stat -c '%n %F %a %u:%g %t,%T' * sg/* acl/*; getfacl -n f acl/*";
      const before = await run(final);
      await unmount();
      expect(await run("find u -not -user 0 -o -not -group 0")).toBe("");
      expect(await run(`getfattr -h --only-values -n ${name} u/nc`)).toBe("0:0:640:char-1-5");
      await mount(`xattr_permissions=${kind}`);
      expect(await run(final)).toBe(before);
      await unmount();
    });
  }

  test("a fifo with two names stays one when it is copied up through one of them, stored or real", async () => {
    await run("mkdir l/d; mkfifo l/p l/d/solo; ln l/p l/d/q");
    for (const kind of [0, 1, 2]) {
      await mount(`xattr_permissions=${kind}`);
      const inode = await run("stat -c %i m/p");
      const look = (...names: string[]) => run(`cd m; stat -c '%n %F %a %u:%g %h %i' ${names.join(" ")}`);
      const one = (links: number, ...names: string[]) =>
        names.map((name) => `${name} fifo 640 5:6 ${links} ${inode}`).join("");
      const solo = await run("stat -c '%i 600' m/d/solo");
      await run("chmod 640 m/p; chown 5:6 m/d/q; chmod 600 m/d/solo");
      expect(await look("p", "d/q")).toBe(one(2, "p", "d/q"));
      await unmount();
      await mount(`xattr_permissions=${kind}`);
      // The name that was not changed first.
      expect(await look("d/q", "p")).toBe(one(2, "d/q", "p"));
      expect(await run("echo through >m/p & timeout 30 cat m/d/q; wait")).toBe("through\n");
      await run("rm m/p; ln m/d/q m/r");
      expect(await look("d/q", "r")).toBe(one(2, "d/q", "r"));
      await unmount();
      await mount(`xattr_permissions=${kind}`);
      expect(await look("r", "d/q")).toBe(one(2, "r", "d/q"));
      expect(await run("ls m")).toBe("d\nr\n");
      expect(await run("stat -c '%i %a' m/d/solo")).toBe(solo);
      await unmount();
      expect(await run("stat -c %F u/r")).toBe(kind === 0 ? "fifo\n" : "regular empty file\n");
      await run("rm -r u w");
    }
  });

  test("are read under each name, a malformed one counts as none, and none is read without the option", async () => {
    await run(`
      touch l/a l/b l/c l/bad; chown 3:3 l/bad
      setfattr -n security.fuseoverlayfs.override_stat -v 1:2:0640:block-7-9 l/a
      setfattr -n user.containers.override_stat -v 1:2:4755:file l/b
      setfattr -n user.fuseoverlayfs.override_stat -v 1:2:100600 l/c
      setfattr -n user.containers.override_stat -v 0:0:4755:dir l/bad`);
    await mount("xattr_permissions=2");
    const look = "cd m; stat -c '%n %F %a %u:%g %t,%T' *";
    expect(await run(look)).toBe(
      "a block special file 640 1:2 7,9\nb regular empty file 4755 1:2 0,0\nbad regular empty file 644 3:3 0,0\nc regular empty file 600 1:2 0,0\n",
    );
    expect(readFileSync(area.at("log"), "utf8")).toContain("malformed stored owner");
    await unmount();
    await mount("xattr_permissions=0");
    expect(await run(look)).toBe(
      "a regular empty file 644 0:0 0,0\nb regular empty file 644 0:0 0,0\nbad regular empty file 644 3:3 0,0\nc regular empty file 644 0:0 0,0\n",
    );
    await unmount();
  });
});

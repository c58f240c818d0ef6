import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Area } from "./harness/area.js";
import { shell } from "./harness/command.js";
import { Store } from "./harness/images.js";
import { cowfsProgram } from "./harness/mounts.js";

let area: Area;
let store: Store;

beforeEach(() => {
  area = new Area();
  store = new Store(area);
});

afterEach(async () => {
  expect(await area.remove()).toEqual([]);
});

const here = (script: string): Promise<string> => shell(script, { cwd: area.path });

function leftovers(): string[] {
  return [
    ...readdirSync(`${store.root}/tmp`),
    ...readdirSync(`${store.root}/locks`).filter((name) => name !== "store"),
  ];
}

test("five steps become two images that share three layers", async () => {
  await here(
    `mkdir -p base/bin packages/usr/lib python/usr/lib/python source/app other/app
     cp /bin/true base/bin/; head -c 300000 /dev/zero >packages/usr/lib/lib; echo x >python/usr/lib/python/module
     echo main >source/app/main; echo other >other/app/main
     tar cf base.tar -C base .; tar czf packages.tgz -C packages .`,
  );
  await store.run("image", "import", "base.tar", "base", "-m", "FROM scratch");
  await store.run("image", "import", "-b", "base", "packages.tgz", "packages", "-m", "apt-get install");
  await store.run("image", "import", "-b", "packages", "python", "python", "-m", "pip install");
  await store.run("image", "import", "-b", "python", "source", "one-source", "-m", "COPY source /app");
  await store.run("image", "import", "-b", "one-source", "-t", "one", "-c", 'CMD ["/app/main"]', "-c", "EXPOSE 80");
  await store.run("image", "import", "-b", "python", "other", "two", "-m", "COPY other /app", "-c", "WORKDIR /app");
  const [one, two] = [store.config(store.id("one")), store.config(store.id("two"))];
  expect(one.rootfs.diff_ids).toHaveLength(4);
  expect(two.rootfs.diff_ids.slice(0, 3)).toEqual(one.rootfs.diff_ids.slice(0, 3));
  expect(two.rootfs.diff_ids[3]).not.toBe(one.rootfs.diff_ids[3]);
  expect(readdirSync(`${store.root}/layers`)).toHaveLength(5);
  expect(one.config).toEqual({ Cmd: ["/app/main"], ExposedPorts: { "80/tcp": {} } });
  expect(two.config).toEqual({ WorkingDir: "/app" });
  expect(one.history?.map(({ created_by, empty_layer }) => [created_by, empty_layer ?? false])).toEqual([
    ["FROM scratch", false],
    ["apt-get install", false],
    ["pip install", false],
    ["COPY source /app", false],
    ['CMD ["/app/main"]', true],
    ["EXPOSE 80", true],
  ]);
  await here("mkdir merged; for part in base packages python source; do cp -a $part/. merged/; done");
  expect(await store.difference(store.id("one"), area.at("merged"), "notimes")).toBe("");
});

test("what tar can say comes through: formats, names, links, owners, times, attributes, ACLs", async () => {
  await here(
    `mkdir -p t/dir t/empty && cd t
     echo a >dir/file; ln dir/file hard; ln -s dir/file soft; chown -h 7:8 soft; mkfifo fifo; mknod char c 1 3; mknod block b 259 17
     chown 5000000:6 dir/file; chmod 6711 hard; touch -d '1935-05-06 07:08:09' dir/file; chmod 1751 dir
     printf z >"$(printf '\\200\\377 odd\\nname')"; long=$(printf '%0250d' 1); mkdir -p "$long/$long"; echo deep >"$long/$long/$long"; ln -s "$long/$long/$long" long-link
     setfattr -n user.bin -v 0sAAH/Cj0= hard; setfattr -n user.empty hard; setfattr -n trusted.note -v y dir
     setfattr -n security.capability -v 0s$(printf '\\1\\0\\0\\2\\0\\040\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0' | base64) "$long/$long/$long"
     head -c 3000000 /dev/urandom >big; : >zero
     cd ..
     tar --format=pax --xattrs --xattrs-include='*' -cf pax.tar -C t .
     tar --format=gnu -cf gnu.tar -C t .`,
  );
  const pax = (await store.run("image", "import", "pax.tar", "pax")).trim();
  expect(await store.difference(pax, area.at("t"), "dirtimes")).toBe("");
  const tree = (await store.run("image", "import", "t", "tree")).trim();
  expect(await store.difference(tree, area.at("t"), "dirtimes")).toBe("");
  await here("mkdir gnu && tar xpf gnu.tar -C gnu");
  const gnu = (await store.run("image", "import", "gnu.tar", "gnu")).trim();
  expect(await store.difference(gnu, area.at("gnu"), "dirtimes")).toBe("");
  expect(await store.run("image", "verify", "--all", "--digests", "-q")).toBe("");
  await here("setfacl -m u:33:rw,m::rw t/big; setfacl -d -m g:44:rx t/empty");
  await here("tar --acls --xattrs --xattrs-include='*' --format=pax -cf acl.tar -C t .");
  const words = (await store.run("image", "import", "acl.tar", "words")).trim();
  expect(await store.difference(words, area.at("t"), "dirtimes")).toBe("");
  const acl = (await store.run("image", "import", "t", "acl")).trim();
  expect(await store.difference(acl, area.at("t"), "dirtimes")).toBe("");
});

test("sparse files, as tar writes them in each of its formats, are whole, and stay sparse", async () => {
  // More pieces than the header has room for, and than a block after it.
  await here(
    `mkdir t; truncate -s 20M t/sparse; truncate -s 3M t/empty; echo dense >t/dense; ln t/sparse t/zz-link
     for at in $(seq 0 59); do printf "piece $at" | dd of=t/sparse bs=64k seek=$((at * 5)) conv=notrunc status=none; done
     tar -S --format=gnu -cf gnu.tar -C t .
     for version in 0.0 0.1 1.0; do tar -S --format=posix --sparse-version=$version -cf $version.tar -C t .; done
     zstd -q gnu.tar`,
  );
  for (const archive of ["gnu.tar", "0.0.tar", "0.1.tar", "1.0.tar"]) {
    const id = (await store.run("image", "import", archive)).trim();
    expect(await store.difference(id, area.at("t"), "notimes")).toBe("");
    expect(Number(await here(`du -sm ${store.trees(id)[0]} | cut -f1`))).toBeLessThan(5);
    expect(await store.run("image", "verify", "--digests", "-q", id)).toBe("");
  }
  await store.run("volume", "import", "restored", "gnu.tar.zst");
  expect(await here("diff -r t root/volumes/restored/_data; du -sm root/volumes/restored/_data | cut -f1")).toMatch(
    /^[0-4]\n$/,
  );
});

test("a later entry of an archive replaces an earlier one, whatever either is, and the archive can be given again", async () => {
  await here(
    `mkdir a b; echo 1 >a/file; mkdir -p a/dir/sub; echo s >a/dir/sub/file; ln -s nowhere a/link; echo x >a/x
     mkdir b/file; echo 2 >b/dir; mkdir b/link; echo l >b/link/in; ln -s dir b/x
     tar cf both.tar -C a . ; tar rf both.tar -C b file dir link x`,
  );
  const id = (await store.run("image", "import", "both.tar")).trim();
  await here("mkdir expected; cp -a b/. expected/");
  expect(await store.difference(id, area.at("expected"), "notimes")).toBe("");
  expect(await store.run("image", "verify", "--digests", "-q", id)).toBe("");
});

test("whiteouts and opaque directories of archives hide what lies below, in any order", async () => {
  await here(
    `mkdir -p base/gone base/opaque base/kept base/renewed; touch base/gone/x base/opaque/old base/kept/x base/file base/renewed/old
     mkdir -p up/opaque up/renewed up/.wh..wh.plnk; touch up/.wh.gone up/.wh.file up/opaque/new up/opaque/.wh..wh..opq up/renewed/new up/.wh.renewed up/.wh..wh.aufs up/.wh..wh.plnk/1
     tar cf up1.tar -C up --sort=name .; tar cf up2.tar -C up .wh.renewed .wh.gone .wh.file renewed opaque/new opaque/.wh..wh..opq
     mkdir -p expected/opaque expected/kept expected/renewed; touch expected/opaque/new expected/kept/x expected/renewed/new`,
  );
  await store.run("image", "import", "base", "base");
  for (const archive of ["up1.tar", "up2.tar"]) {
    const id = (await store.run("image", "import", "-b", "base", archive)).trim();
    expect(await store.difference(id, area.at("expected"), "notimes")).toBe("");
  }
  await here("mkdir opaque-root; touch opaque-root/.wh..wh..opq opaque-root/only");
  const id = (await store.run("image", "import", "-b", "base", "opaque-root")).trim();
  const { LowerDir } = (
    JSON.parse(await store.run("image", "inspect", id)) as [{ GraphDriver: { Data: { LowerDir: string } } }]
  )[0].GraphDriver.Data;
  expect(LowerDir.split(":")).toHaveLength(1);
});

test("paths longer than what the kernel takes at once are made, verified and given again", async () => {
  const long = (length: number): string =>
    "directory/"
      .repeat(1000)
      .slice(0, length - 2)
      .replace(/\/$/, "x")
      .concat("/f");
  const paths = [4095, 4096, 4097, 4200, 9000].map(long);
  await here(`python3 - <<'EOF'
import tarfile, io
t = tarfile.open("deep.tar", "w", format=tarfile.PAX_FORMAT)
for path in ${JSON.stringify(paths)}:
    i = tarfile.TarInfo(path); i.size = len(str(len(path))); t.addfile(i, io.BytesIO(str(len(path)).encode()))
t.close()
EOF`);
  const id = (await store.run("image", "import", "deep.tar", "deep")).trim();
  await store.run("image", "verify", "--digests", id);
  await store.run("image", "save", "-q", "-o", "saved.tar", "deep");
  await here("tar xOf saved.tar --wildcards '*.tar' | cmp - deep.tar");
  await store.run("image", "rm", "deep");
});

test("a file that is replaced keeps its other names, which count themselves alone; the archive is given again as it was", async () => {
  await here(`python3 - <<'EOF'
import tarfile, io
t = tarfile.open("again.tar", "w")
def add(name, data=b"", **more):
    i = tarfile.TarInfo(name); i.size = len(data)
    for key, value in more.items(): setattr(i, key, value)
    t.addfile(i, io.BytesIO(data))
add("d", type=tarfile.DIRTYPE, mode=0o755)
add("d/x", b"first")
add("d/y", type=tarfile.LNKTYPE, linkname="d/x")
add("z", type=tarfile.LNKTYPE, linkname="d/x")
add("d/x", b"second")
add("d", b"a file now")
t.close()
EOF`);
  const id = (await store.run("image", "import", "again.tar", "again")).trim();
  expect(await here("stat -c %h root/layers/*/tree/z; cat root/layers/*/tree/z")).toBe("1\nfirst");
  await store.run("image", "verify", "--digests", id);
  await store.run("image", "save", "-q", "-o", "saved.tar", "again");
  await here("tar xOf saved.tar --wildcards '*.tar' | cmp - again.tar");
  await store.run("image", "rm", "again");
});

test("marks in an archive are attributes like others, and lead nowhere", async () => {
  await here(
    `mkdir -p base/secret base/dir t/dir; echo s >base/secret/file; echo o >base/dir/old; touch t/file
     setfattr -n trusted.overlay.opaque -v y t/dir; setfattr -n trusted.overlay.redirect -v /secret t/dir
     setfattr -n trusted.overlay.metacopy t/file; setfattr -n trusted.overlay.redirect -v /secret/file t/file; setfattr -n user.overlay.whiteout t/file
     tar --xattrs --xattrs-include='*' -cf t.tar -C t .`,
  );
  await store.run("image", "import", "base", "base");
  const id = (await store.run("image", "import", "-b", "base", "t.tar")).trim();
  await here("mkdir expected; cp -a base/. expected/; cp -a t/. expected/");
  expect(await store.difference(id, area.at("expected"), "marks,notimes")).toBe("");
});

describe("bad archives are refused by one line, and leave nothing", () => {
  const python = (body: string): string => `python3 - <<'EOF'
import tarfile, io
t = tarfile.open("bad.tar", "w")
def add(name, type=tarfile.REGTYPE, link="", data=b"", **more):
    i = tarfile.TarInfo(name); i.type = type; i.linkname = link; i.size = len(data)
    for k, v in more.items(): setattr(i, k, v)
    t.addfile(i, io.BytesIO(data))
${body}
t.close()
EOF`;
  const bad: readonly [name: string, script: string, says: RegExp][] = [
    ["a name that leads out", python('add("a/../../out", data=b"x")'), /leads out of the layer/],
    ["a hard link to outside", python('add("x", tarfile.LNKTYPE, "../../../../etc/passwd")'), /leads out of the layer/],
    ["a hard link to nothing", python('add("x", tarfile.LNKTYPE, "/etc/passwd")'), /hard link leads to "etc"/],
    ["a hard link to itself", python('add("x", tarfile.LNKTYPE, "x")'), /hard link to "x"/],
    ["a hard link to a name that it hides", python('add(".wh.x")\nadd("x", tarfile.LNKTYPE, "x")'), /hard link to "x"/],
    [
      "an owner that is no change of it",
      python('add("x", pax_headers={"uid": "4294967295"})'),
      /belongs to 4294967295:0/,
    ],
    ["a group of 33 bits", python('add("x", pax_headers={"gid": "4294967297"})'), /belongs to 0:4294967297/],
    ["an owner below 0", python('t.format = tarfile.GNU_FORMAT\nadd("x", uid=-1)'), /belongs to -1:0/],
    ["a hard link to a directory", python('add("d", tarfile.DIRTYPE)\nadd("x", tarfile.LNKTYPE, "d")'), /hard link/],
    ["a device 0:0", python('add("x", tarfile.CHRTYPE, devmajor=0, devminor=0)'), /0:0/],
    ["a file as a directory", python('add("x", data=b"1")\nadd("x/y", data=b"1")'), /is no directory/],
    [
      "links in a circle",
      python('add("a", tarfile.SYMTYPE, "b")\nadd("b", tarfile.SYMTYPE, "a")\nadd("a/x", data=b"1")'),
      /too many symbolic links/,
    ],
    ["a whiteout of nothing", python('add(".wh.", data=b"")'), /no whiteout/],
    ["a type nobody knows", python('add("x", b"Q")'), /the type "Q"/],
    [
      "cut off in a file",
      "head -c 70000 /dev/zero >f; tar cf whole.tar f; head -c 30000 whole.tar >bad.tar",
      /cut off/,
    ],
    ["cut off in a header", "touch f; tar cf whole.tar f; head -c 300 whole.tar >bad.tar", /cut off/],
    ["cut off behind a file", "touch f; tar cf whole.tar f; head -c 512 whole.tar >bad.tar", /cut off: it has no end/],
    ["nothing at all", ": >bad.tar", /cut off/],
    ["a wrong checksum", "touch f; tar cf bad.tar f; printf X | dd of=bad.tar bs=1 seek=10 conv=notrunc", /checksum/],
    ["no archive", "seq 2000 >numbers; head -c 5000 numbers >bad.tar", /the tar archive is damaged/],
    [
      "damaged gzip",
      "head -c 200000 /dev/urandom >f; tar czf bad.tar f; printf XXXX | dd of=bad.tar bs=1 seek=100000 conv=notrunc",
      /damaged/,
    ],
    [
      "cut off gzip",
      "head -c 200000 /dev/urandom >f; tar czf whole.tar f; head -c 100000 whole.tar >bad.tar",
      /cut off/,
    ],
    [
      "damaged zstd",
      "head -c 200000 /dev/urandom >f; tar cf - f | zstd -q >whole; head -c 100000 whole >bad.tar",
      /zstd/,
    ],
    ["xz", "touch f; tar cJf bad.tar f", /compressed by xz/],
  ];
  test.each(bad)("%s", async (_, script, says) => {
    await here(script);
    const { status, stdout, stderr } = await store.attempt("image", "import", "bad.tar", "bad");
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toMatch(/^cowfs: [^\n]+\n$/);
    expect(stderr).toMatch(says);
    for (const place of ["layers", "images"]) expect(readdirSync(`${store.root}/${place}`)).toEqual([]);
    expect(leftovers()).toEqual([]);
  });

  test("absolute names and links stay in the layer", async () => {
    await here(
      python(
        `add("/etc/file", data=b"1")\nadd("out", tarfile.SYMTYPE, "${area.path}")\nadd("up", tarfile.SYMTYPE, "../../../..")\nadd("out/stolen", data=b"2")\nadd("up/top", data=b"3")`,
      ).replaceAll("bad.tar", "odd.tar"),
    );
    const { status, stderr } = await store.attempt("image", "import", "odd.tar", "odd");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const [tree = ""] = store.trees(store.id("odd"));
    expect(readFileSync(`${tree}/etc/file`, "utf8")).toBe("1");
    expect(readFileSync(`${tree}/top`, "utf8")).toBe("3");
    expect(readFileSync(`${tree}${area.path}/stolen`, "utf8")).toBe("2");
    expect(existsSync(area.at("stolen"))).toBe(false);
  });
});

test("a full disk is one line, and leaves nothing", async () => {
  const root = await area.directory("small", "tmpfs:4M");
  const full = new Store(area, root);
  await here("head -c 9000000 /dev/urandom >f; tar cf big.tar f");
  const { status, stderr } = await full.attempt("image", "import", "big.tar");
  expect(status).toBe(1);
  expect(stderr).toMatch(/^cowfs: [^\n]*ENOSPC[^\n]*\n$/);
  expect(readdirSync(`${root}/tmp`)).toEqual([]);
  await area.unmountPlace(root);
});

test("killed at any moment, it leaves nothing but a temporary, and the next run works", async () => {
  await here("mkdir d; for i in $(seq 400); do head -c 30000 /dev/urandom >d/$i; done; tar czf d.tgz d");
  mkdirSync(store.root);
  for (let round = 0; round < 6; round++) {
    const child = spawn(cowfsProgram, ["--root", store.root, "image", "import", "d.tgz", "killed"], {
      cwd: area.path,
      stdio: "ignore",
    });
    const ended = new Promise((resolve) => child.once("close", resolve));
    // The later rounds end before they are killed, on a fast machine: that is one more moment.
    await new Promise((resolve) => setTimeout(resolve, 60 + round * 60));
    child.kill("SIGKILL");
    await ended;
    const named = existsSync(`${store.root}/images/names.json`);
    const layers = existsSync(`${store.root}/layers`) ? readdirSync(`${store.root}/layers`) : [];
    for (const layer of layers) expect(existsSync(`${store.root}/layers/${layer}/layer.json`)).toBe(true);
    if (named) expect(layers).toHaveLength(1);
  }
  const id = (await store.run("image", "import", "d.tgz", "killed")).trim();
  await here("mkdir expected; tar xf d.tgz -C expected");
  expect(await store.difference(id, area.at("expected"))).toBe("");
});

test("what has changed on disk is found, object by object", async () => {
  await here(
    "mkdir -p t/dir; for n in content mode owner time gone xattr size; do echo $n >t/dir/$n; done; ln -s a t/link; ln t/dir/mode t/hard",
  );
  await store.run("image", "import", "t", "image");
  const [tree = ""] = store.trees(store.id("image"));
  await shell(
    `cd ${tree}/dir; m=$(stat -c %y .)
     t=$(stat -c %y content); printf CONTENT >c; printf CONTENT | dd of=content conv=notrunc; rm c; touch -d "$t" content
     chmod 600 mode; chown 1 owner; touch -d 2001-01-01 time; rm gone; setfattr -n user.x -v y xattr; t=$(stat -c %y size); echo more >>size; touch -d "$t" size; touch new; touch -d "$m" .
     rm ../link; ln -s b ../link; touch -h -d 2001-01-01 ../link`,
  );
  const { status, stdout } = await store.attempt("image", "verify", "image");
  expect(status).toBe(1);
  expect(
    stdout
      .trimEnd()
      .split("\n")
      .map((line) => line.replace(/^[0-9a-f]{12} /, "").replace(/ at .*/, "")),
  ).toEqual(
    expect.arrayContaining([
      "/dir/content: has other content",
      "/dir/mode: has mode 0600, not 0644",
      "/dir/owner: belongs to 1:0, not 0:0",
      "/dir/time: was modified",
      "/dir/gone: is missing",
      "/dir/xattr: has other extended attributes",
      "/dir/size: has size 10, not 5",
      "/dir/new: should not be there",
      "/link: leads elsewhere",
    ]),
  );
  rmSync(`${tree}/hard`);
  writeFileSync(`${tree}/hard`, "mode\n");
  expect((await store.attempt("image", "verify", "image")).stdout).toContain(
    "/hard: is no hard link of its first name any more",
  );
});

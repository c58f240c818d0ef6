// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are variables of a Dockerfile
/** COPY and ADD: which files of a context, stage or image come where, whose they are, and that nothing leads out. */
import { existsSync, readdirSync } from "node:fs";
import { afterEach, beforeEach, expect, test } from "vitest";
import { attemptBuild, build, writeContext } from "./harness/build.js";
import { shell } from "./harness/command.js";
import { Store } from "./harness/store.js";

let store: Store;

beforeEach(async () => {
  store = new Store();
  await store.busybox("base");
});

afterEach(async () => {
  expect(readdirSync(`${store.path}/tmp`)).toEqual([]);
  expect(await store.remove()).toEqual([]);
});

/** What is below a directory of an image: mode, owner and path of each object. */
async function listing(image: string, path: string): Promise<string[]> {
  const script = `cd ${path}; find . -exec stat -c "%a %u:%g %n" {} +`;
  return (await store.ok("run", "--rm", image, "sh", "-c", script)).trim().split("\n").sort();
}

test("names, modes, owners, patterns and what is ignored", async () => {
  const context = writeContext(store.area.at("context"), {
    Dockerfile: [
      "FROM base",
      "WORKDIR /w",
      "COPY a.txt b.txt sub/",
      "COPY a.txt renamed",
      "COPY tree .",
      "COPY tree /new",
      "COPY --chown=user:extra --chmod=640 a.txt /owned/a",
      "COPY --chown=7 tree /numbers",
      'COPY ["with blank", "/blank/"]',
      "COPY *.txt [x-z]?/ /patterns/",
      "COPY link /followed",
      "COPY . /all",
      "COPY <<one <<'two' /inline/",
      "$HOME of ${none:-nobody}",
      "one",
      "$HOME",
      "two",
    ].join("\n"),
    ".dockerignore": "# what nobody needs\n*.log\ntree/secret\nignored\n!ignored/kept\nDockerfile\n",
    "a.txt": "a",
    "b.txt": "b",
    "with blank": "blank",
    "x.log": "log",
    "tree/file": "file",
    "tree/deep/er/file": "deep",
    "tree/empty/": "",
    "tree/secret": "secret",
    "y1/inside": "inside",
    "ignored/kept/file": "kept",
    "ignored/other": "other",
  });
  await shell(
    "chown -R 1234:1234 tree; chmod 750 tree/deep; chmod 4711 tree/file; ln -s a.txt link; ln -s /etc/passwd tree/absolute; umask 077; mkdir z2; echo 2 >z2/file",
    { cwd: context },
  );
  await build(store, ["-t", "app", context]);
  expect(await listing("app", "/w")).toEqual(
    [
      ...[
        "4711 0:0 ./file",
        "644 0:0 ./renamed",
        "644 0:0 ./sub/a.txt",
        "644 0:0 ./sub/b.txt",
        "644 0:0 ./deep/er/file",
      ],
      ...["750 0:0 ./deep", "755 0:0 .", "755 0:0 ./deep/er", "755 0:0 ./empty", "755 0:0 ./sub", "777 0:0 ./absolute"],
    ].sort(),
  );
  const tree = (owner: string): string[] =>
    [
      ...[`4711 ${owner} ./file`, `644 ${owner} ./deep/er/file`, `750 ${owner} ./deep`, `755 ${owner} .`],
      ...[`755 ${owner} ./deep/er`, `755 ${owner} ./empty`, `777 ${owner} ./absolute`],
    ].sort();
  expect(await listing("app", "/new")).toEqual(tree("0:0"));
  expect(await listing("app", "/numbers")).toEqual(tree("7:7"));
  expect(await listing("app", "/owned")).toEqual(["640 1000:50 ./a", "755 1000:50 ."]);
  expect(await listing("app", "/blank")).toEqual(["644 0:0 ./with blank", "755 0:0 ."]);
  expect(await listing("app", "/patterns")).toEqual([
    ...["600 0:0 ./file", "644 0:0 ./a.txt", "644 0:0 ./b.txt", "644 0:0 ./inside", "755 0:0 ."],
  ]);
  expect((await listing("app", "/all")).map((line) => line.split(" ")[2])).toEqual(
    expect.arrayContaining(["./ignored/kept/file", "./a.txt", "./link", "./.dockerignore"]),
  );
  const all = (await listing("app", "/all")).join("\n");
  expect(all).not.toMatch(/secret|x\.log|other|Dockerfile/);
  const texts = await store.ok("run", "--rm", "app", "cat", "/followed", "/inline/one", "/inline/two");
  expect(texts).toBe("a of nobody\n$HOME\n");
});

test("from stages and images, with their owners, links within them, and as stages only when needed", async () => {
  const context = writeContext(store.area.at("context"), {
    Dockerfile: [
      "FROM base AS made",
      "RUN mkdir -p /out/sub && echo made >/out/sub/file && chown -R 3:4 /out && ln -s /out/sub /out/abs && ln -s ../../../../out/sub /far",
      "FROM base AS unused",
      "RUN exit 9",
      "FROM base AS other",
      "COPY --from=made /far/file /b",
      "FROM scratch",
      "COPY --from=0 /out /made",
      "COPY --from=made /out/abs/file /a",
      "COPY --from=other /b /b",
      "COPY --from=base /etc/motd /bin/ /bin/",
      "COPY --from=made --chown=0:0 /out/sub/f* /c/",
    ].join("\n"),
  });
  const built = await build(store, ["-t", "app", context]);
  expect(built.stderr).not.toContain("exit 9");
  expect(await store.ok("run", "--rm", "app", "/bin/sh", "-c", "/bin/cat /a /b /c/file /bin/motd")).toBe(
    "made\nmade\nmade\nfrom the image\n",
  );
  expect(await listing("app", "/made")).toEqual([
    ...["644 3:4 ./sub/file", "755 3:4 .", "755 3:4 ./sub", "777 0:0 ./abs"],
  ]);
  expect((await attemptBuild(store, ["--target", "unused", context])).stderr).toMatch(
    /Dockerfile:4: RUN exit 9: exit code 9/,
  );
  // A change of a stage that leaves what is copied as it is.
  await shell("sed -i 's/&& ln -s \\.\\./\\&\\& touch \\/more \\&\\& ln -s ../' Dockerfile", { cwd: context });
  const again = await build(store, [context]);
  expect(again.cached.filter((step) => step.includes("--from=made /out/abs"))).toHaveLength(1);
});

test("ADD unpacks archives, COPY does not, and what is no archive is copied", async () => {
  const context = writeContext(store.area.at("context"), {
    Dockerfile: [
      "FROM base",
      "ADD plain.tar /plain",
      "ADD packed.tar.gz /gzip/",
      "ADD packed.tar.zst /zstd",
      "ADD --chown=user --chmod=711 packed.tar.gz /owned",
      "COPY plain.tar /copied.tar",
      "ADD text.gz file.txt /files/",
    ].join("\n"),
    "tree/dir/file": "in an archive\n",
    "file.txt": "no archive\n",
  });
  await shell(
    `chmod 700 tree/dir; chown -R 5:6 tree; ln -s dir/file tree/link; echo text | gzip >text.gz
     tar -C tree -cf plain.tar .; gzip -k <plain.tar >packed.tar.gz; zstd -q plain.tar -o packed.tar.zst`,
    { cwd: context },
  );
  const { stderr } = await build(store, ["-t", "app", context]);
  expect(stderr).toContain("Dockerfile:5: ADD --chown=user --chmod=711 packed.tar.gz /owned: --chmod is not for what");
  const unpacked = (owner: string): string[] =>
    [`644 ${owner} ./dir/file`, `700 ${owner} ./dir`, `755 ${owner} .`, `777 ${owner} ./link`].sort();
  for (const name of ["plain", "gzip", "zstd"]) {
    expect((await listing("app", `/${name}`)).filter((line) => !line.endsWith(" ."))).toEqual(
      unpacked("5:6")
        .filter((line) => !line.endsWith(" .") && !line.endsWith("link"))
        .concat("777 0:0 ./link"),
    );
  }
  expect(await listing("app", "/owned")).toEqual(unpacked("1000:1000"));
  expect(
    await store.ok(
      "run",
      "--rm",
      "app",
      "sh",
      "-c",
      "tar -tf /copied.tar | wc -l; zcat /files/text.gz; cat /files/file.txt",
    ),
  ).toBe("4\ntext\nno archive\n");
  const onto = store.area.at("Onto");
  // A link is followed as in a root: the first one leads to a directory of the destination, the second one to none.
  await shell(
    `mkdir -p out/dir both/dir both/tmp; echo >out/dir/one; ln out/dir/one out/dir/two; tar -C out -cf hard.tar dir
     echo >both/dir/same; ln both/dir/same both/tmp/same; tar -C both -cf both.tar dir tmp
     printf '%s\\n' 'FROM base' 'RUN mkdir /top /top/tmp && ln -s /tmp /top/dir && ln -s /bin /dir' 'ADD hard.tar /top' \
       'RUN test -L /top/dir && test /top/tmp/one -ef /top/tmp/two && test ! -e /tmp/one' \
       'RUN mkdir /meet /meet/tmp && ln -s tmp /meet/dir' 'ADD both.tar /meet' 'RUN test "$(ls -A /meet/tmp)" = same' \
       'ADD hard.tar /' 'RUN test /bin/one -ef /bin/two && rm /dir && ln -s /bin/sh /dir' 'ADD hard.tar /' >${onto}`,
    { cwd: context },
  );
  const failed = await attemptBuild(store, ["-f", onto, context]);
  const why = "Onto:10: ADD hard.tar /: dir: a directory cannot replace what is there\n";
  expect([failed.status, failed.stderr]).toEqual([1, expect.stringContaining(why)]);
});

test("nothing is read outside of the context, or written outside of the image", async () => {
  const context = writeContext(store.area.at("area/context"), {
    Dockerfile: [
      "FROM base",
      "RUN ln -s /tmp/../../../../../../.. /up && ln -s /bin /linked",
      "COPY file /up/made",
      "COPY file /linked/",
    ].join("\n"),
    file: "content",
    Links: "FROM base\nCOPY inner/loop /x\n",
    Tar: "FROM base\nADD escaping.tar /x\n",
    "../secret": "secret",
  });
  await shell(
    `mkdir inner; ln -s ../.. inner/up; ln -s /etc absolute; ln -s loop inner/loop; ln -s ../file inner/fine
     python3 - <<'PY'
import tarfile, io
archive = tarfile.open("escaping.tar", "w")
link = tarfile.TarInfo("link"); link.type = tarfile.SYMTYPE; link.linkname = "${store.area.at("area")}"; archive.addfile(link)
entry = tarfile.TarInfo("link/through"); entry.size = 1; archive.addfile(entry, io.BytesIO(b"x"))
entry = tarfile.TarInfo("../../../../escaped"); entry.size = 1; archive.addfile(entry, io.BytesIO(b"x"))
PY`,
    { cwd: context },
  );
  await build(store, ["-t", "app", context]);
  expect(await store.ok("run", "--rm", "app", "sh", "-c", "cat /made /bin/file")).toBe("contentcontent");
  for (const source of ["../secret", "inner/../../secret", "inner/up/secret", "absolute/passwd", "absolute"]) {
    const path = store.area.at("Bad");
    await shell(`printf '%s\\n' 'FROM base' '' 'COPY ${source} /x' >${path}`);
    const { status, stderr } = await attemptBuild(store, ["-f", path, context]);
    expect([status, stderr]).toEqual([1, expect.stringMatching(/Bad:3: COPY .*: .* leads out of the build context/)]);
  }
  const loop = await attemptBuild(store, ["-f", `${context}/Links`, context]);
  expect([loop.status, loop.stderr]).toEqual([1, expect.stringMatching(/Links:2: .*too many symbolic links/)]);
  const tar = await attemptBuild(store, ["-f", `${context}/Tar`, context]);
  expect([tar.status, tar.stderr]).toEqual([1, expect.stringMatching(/Tar:2: ADD escaping.tar \/x: escaping.tar: /)]);
  expect(readdirSync(store.area.at("area")).sort()).toEqual(["context", "secret"]);
  expect(existsSync(store.area.at("escaped"))).toBe(false);
});

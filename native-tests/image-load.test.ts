import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Area } from "./harness/area.js";
import { shell } from "./harness/command.js";
import { makeLayout, Store } from "./harness/images.js";
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

/** Nothing but what is published: no temporary, no lock of one. */
function leftovers(): string[] {
  return [
    ...readdirSync(`${store.root}/tmp`),
    ...readdirSync(`${store.root}/locks`).filter((name) => name !== "store"),
  ];
}

test("an OCI layout, its archive, gzip and zstd, and docker-archives of it are one image, with the tree that umoci sees", async () => {
  const unpacked = await makeLayout(area);
  await shell(
    `tar cf oci.tar -C oci .
     skopeo copy -q oci:oci:img docker-archive:docker.tar:example.org/some/image:1
     gzip -k docker.tar
     zstd -q oci.tar`,
    { cwd: area.path },
  );
  const loaded = await store.run("image", "load", "oci");
  const id = /^Loaded image ID: (sha256:[0-9a-f]{64})\n$/.exec(loaded)?.[1] ?? loaded;
  expect(await store.difference(id, unpacked)).toBe("");
  expect(await store.run("image", "verify", "--digests", "--quiet", id)).toBe("");
  for (const archive of ["oci.tar", "oci.tar.zst"]) {
    expect(await store.run("image", "load", "-i", archive)).toBe(loaded);
  }
  for (const archive of ["docker.tar", "docker.tar.gz"]) {
    expect(await store.run("image", "load", archive)).toBe("Loaded image: example.org/some/image:1\n");
  }
  expect(store.id("example.org/some/image:1")).toBe(id);
  // What writes may begin later than what reads.
  const piped = await shell(`{ sleep 1; cat docker.tar.gz; } | ${cowfsProgram} --root root2 image load`, {
    cwd: area.path,
  });
  expect(piped).toBe("Loaded image: example.org/some/image:1\n");
  expect(leftovers()).toEqual([]);
});

describe("what is wrong in an archive is one line, and leaves nothing", () => {
  /** Changes the layout `oci` of one image by a shell script; what the message must say. */
  const bad: readonly { name: string; change: string; says: RegExp }[] = [
    { name: "a layer is cut off", change: 'truncate -s -7 "$layer"', says: /should have \d+ bytes/ },
    {
      name: "a layer is damaged",
      change: 'printf XX | dd of="$layer" bs=1 seek=40 conv=notrunc',
      says: /gzip|digest|damaged/,
    },
    {
      name: "a configuration is damaged",
      change: 'sed -i s/linux/linuy/ "$config"',
      says: /digest of the configuration/,
    },
    {
      name: "a layer is missing",
      change: 'rm "$layer"',
      says: /is incomplete: the layer sha256:[0-9a-f]{64} is missing/,
    },
    ...[
      ["os", "7"],
      ["config", '"text"'],
      ["config", '{"Env":"A=1"}'],
      ["config", '{"Cmd":["a",null]}'],
      ["config", '{"Labels":{"a":1}}'],
      ["history", '["text"]'],
    ].map(([key, value]) => ({
      name: `a configuration whose ${key} is ${value}`,
      change: `sed -i 's|^{|{"${key}":${value},|; s|"os":"linux",||' "$config"; rename`,
      says: /^cowfs: the configuration is damaged: its [a-z]+[^ ]* is not what it should be\n$/,
    })),
    {
      name: "an index whose entries are odd",
      change: `sed -i 's|"size"|"annotations":{"a":[]},"size"|' index.json`,
      says: /index.json is damaged/,
    },
    {
      name: "indexes without end",
      change: `for i in $(seq 20); do
         cp index.json next; size=$(stat -c %s next); d=$(put next)
         echo '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"sha256:'$d'","size":'$size'}]}' >index.json
       done`,
      says: /an index leads only to others/,
    },
    { name: "no index", change: "rm index.json", says: /neither manifest.json nor index.json/ },
    { name: "an index that is no JSON", change: "echo x >index.json", says: /index.json is damaged/ },
    {
      name: "an unknown media type",
      change: 'sed -i "s/image.manifest.v1/image.manifest.v9/" index.json',
      says: /media type "application\/vnd.oci.image.manifest.v9\+json", which cowfs does not know/,
    },
  ];
  test.each(bad)("$name", async ({ change, says }) => {
    await shell(
      `mkdir -p d && echo x >d/file && mkdir -p oci/blobs/sha256 && cd oci
       digest() { sha256sum "$1" | cut -c1-64; }
       put() { d=$(digest "$1"); mv "$1" "blobs/sha256/$d"; echo "$d"; }
       tar cf l.tar -C ../d . ; diff=$(digest l.tar); gzip l.tar; size=$(stat -c %s l.tar.gz); l=$(put l.tar.gz)
       echo '{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["sha256:'$diff'"]}}' >c; cs=$(stat -c %s c); c=$(put c)
       echo '{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:'$c'","size":'$cs'},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:'$l'","size":'$size'}]}' >m; ms=$(stat -c %s m); m=$(put m)
       echo '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:'$m'","size":'$ms'}]}' >index.json
       layer=blobs/sha256/$l config=blobs/sha256/$c
       rename() { # what has been changed in the configuration is what the manifest means
         mv "$config" new; ns=$(stat -c %s new); n=$(put new); sed -i "s/$c/$n/; s/:$cs}/:$ns}/" "blobs/sha256/$m"
         mv "blobs/sha256/$m" new; o=$m; ms2=$(stat -c %s new); m=$(put new); sed -i "s/$o/$m/; s/:$ms}/:$ms2}/" index.json
       }
       ${change}`,
      { cwd: area.path },
    );
    const { status, stdout, stderr } = await store.attempt("image", "load", "oci");
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toMatch(/^cowfs: [^\n]+\n$/);
    expect(stderr).toMatch(says);
    expect(readdirSync(`${store.root}/layers`)).toEqual([]);
    expect(readdirSync(`${store.root}/images`)).toEqual([]);
    expect(leftovers()).toEqual([]);
  });
});

test("of several platforms the right one is loaded, and what there is not is said", async () => {
  await shell(
    `umoci init --layout oci
     for arch in arm64 amd64; do
       umoci new --image oci:$arch; umoci config --image oci:$arch --architecture $arch --config.label arch=$arch
     done
     python3 - <<'EOF'
import json
index = json.load(open("oci/index.json"))
for one, arch in zip(index["manifests"], ["arm64", "amd64"]):
    one["platform"] = {"os": "linux", "architecture": one["annotations"].pop("org.opencontainers.image.ref.name")}
json.dump(index, open("oci/index.json", "w"))
EOF`,
    { cwd: area.path },
  );
  const own = process.arch === "arm64" ? "arm64" : "amd64";
  const other = own === "arm64" ? "amd64" : "arm64";
  const loaded = async (...options: string[]): Promise<unknown> => {
    const { images } = JSON.parse(await store.run("image", "load", "--json", "oci", ...options)) as {
      images: { id: string }[];
    };
    return images.map(({ id }) => store.config(id).architecture);
  };
  expect(await loaded()).toEqual([own]);
  expect(await loaded("--platform", `linux/${other}`)).toEqual([other]);
  const { status, stderr } = await store.attempt("image", "load", "oci", "--platform", "linux/s390x");
  expect(status).toBe(1);
  expect(stderr).toMatch(/has no image for linux\/s390x, only for linux\/(arm64|amd64), linux\/(arm64|amd64)/);
});

test("--progress json tells programs what happens, on stderr", async () => {
  await shell("mkdir t; head -c 20000000 /dev/zero >t/zeros", { cwd: area.path });
  const events = async (...words: string[]): Promise<Record<string, unknown>[]> => {
    const { status, stderr } = await store.attempt("image", ...words, "--progress", "json");
    expect(status).toBe(0);
    return stderr
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  };
  const imported = await events("import", "t", "zeros");
  expect(imported.at(-1)?.["event"]).toBe("progress");
  const saved = await events("save", "-o", "zeros.tar", "zeros");
  expect(saved.at(-1)?.["read"]).toBe(saved.at(-1)?.["total"]);
  expect((await events("load", "zeros.tar")).map(({ event }) => event)).toEqual(["exists"]);
  await store.run("image", "rm", "zeros");
  const loaded = await events("load", "zeros.tar");
  expect(loaded[0]).toMatchObject({ event: "begins", total: saved.at(-1)?.["total"] });
  expect(loaded.at(-1)).toMatchObject({ event: "built", size: 20000000, diffId: loaded[0]?.["diffId"] });
  expect((await store.attempt("image", "load", "zeros.tar", "--progress", "odd")).status).toBe(2);
});

test("what podman saves is loaded, in both of its formats", async () => {
  await shell(
    `mkdir -p t/dir; echo x >t/dir/file; ln t/dir/file t/hard; chown 12:13 t/dir; tar cf t.tar -C t .
     podman() { command podman --root "$PWD/storage" --runroot "$PWD/run" --storage-driver vfs --cgroup-manager cgroupfs --events-backend none "$@"; }
     podman import -q -c 'CMD ["/bin/true"]' t.tar localhost/some:tag
     podman save -q -o docker.tar localhost/some:tag; podman save -q --format oci-archive -o oci.tar localhost/some:tag
     podman rmi -a -f >/dev/null`,
    { cwd: area.path },
  );
  expect(await store.run("image", "load", "-q", "-i", "docker.tar")).toBe("Loaded image: localhost/some:tag\n");
  const id = store.id("localhost/some:tag");
  expect(await store.difference(id, area.at("t"), "notimes")).toBe("");
  expect(store.config(id).config?.["Cmd"]).toEqual(["/bin/true"]);
  expect(await store.run("image", "load", "-q", "-i", "oci.tar")).toBe("Loaded image: localhost/some:tag\n");
});

test("two loads of one image at once both succeed, and one that is killed leaves nothing but a temporary", async () => {
  await shell(
    `for layer in 1 2 3; do
       mkdir -p $layer; for i in $(seq 60); do head -c 60000 /dev/urandom >$layer/$layer-$i; done
     done`,
    { cwd: area.path },
  );
  const maker = new Store(area, area.at("maker"));
  await maker.run("image", "import", "1", "one");
  await maker.run("image", "import", "-b", "one", "2", "two");
  await maker.run("image", "import", "-b", "two", "3", "three");
  await maker.run("image", "save", "-o", "three.tar", "three");
  mkdirSync(store.root);
  for (let round = 0; round < 6; round++) {
    const child = spawn(cowfsProgram, ["--root", store.root, "image", "load", "-q", "three.tar"], {
      cwd: area.path,
      stdio: "ignore",
    });
    const ended = new Promise((resolve) => child.once("close", resolve));
    await new Promise((resolve) => setTimeout(resolve, 60 + round * 50));
    child.kill("SIGKILL");
    await ended;
    const layers = existsSync(`${store.root}/layers`) ? readdirSync(`${store.root}/layers`) : [];
    if (existsSync(`${store.root}/images/names.json`)) expect(layers).toHaveLength(3);
  }
  rmSync(store.root, { recursive: true });
  const both = [1, 2].map(() => store.run("image", "load", "-q", "three.tar"));
  expect(await Promise.all(both)).toEqual(["Loaded image: three:latest\n", "Loaded image: three:latest\n"]);
  expect(leftovers()).toEqual([]);
  expect(readdirSync(`${store.root}/layers`)).toHaveLength(3);
  expect(await store.run("image", "verify", "--all", "--digests", "-q")).toBe("");
});

import { readdirSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Area } from "./harness/area.js";
import { shell } from "./harness/command.js";
import { makeLayout, Store } from "./harness/images.js";

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
  const piped = await shell(
    `cat docker.tar.gz | ${process.env["COWFS_TEST_PROGRAM"] ?? `${import.meta.dirname}/../build/cowfs`} --root root2 image load`,
    { cwd: area.path },
  );
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

/** An image for the benchmark of `image load`: its layers as archives, and the image in the formats that differ in how it is read. */
import { createHash } from "node:crypto";
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "./drivers.mjs";

/** What share of the files and of the bytes each layer has: a base, packages, libraries, a program, its configuration. */
const shares = [
  { files: 0.4, bytes: 0.4 },
  { files: 0.3, bytes: 0.28 },
  { files: 0.2, bytes: 0.2 },
  { files: 0.09, bytes: 0.11 },
  { files: 0.01, bytes: 0.01 },
];
const filesPerDirectory = 10;

/** Numbers from 0 to below 1, the same on every run. */
function randomNumbers(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Sizes as file systems have them, most small and a few big: the logarithms are distributed normally. Their sum is `bytes`. */
function fileSizes(count, bytes, random) {
  const raw = Array.from({ length: count }, () =>
    Math.exp(1.8 * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())),
  );
  const sum = raw.reduce((total, size) => total + size, 0);
  return raw.map((size) => Math.round((size * bytes) / sum));
}

/** Four MiB of something between text and machine code: gzip makes half of it. */
function material(random) {
  const words = Array.from({ length: 4096 }, () =>
    Buffer.from(Array.from({ length: 2 + Math.floor(random() * 9) }, () => Math.floor(random() * 256))),
  );
  const pieces = [];
  for (let size = 0; size < 4 << 20; ) {
    const word = words[Math.floor(random() ** 3 * words.length)];
    pieces.push(word);
    size += word.length;
  }
  return Buffer.concat(pieces);
}

function writeFiles(tree, sizes, random, stuff) {
  let directory = tree;
  for (const [index, size] of sizes.entries()) {
    if (index % filesPerDirectory === 0) {
      directory = join(tree, `usr/part-${Math.floor(index / 500)}/directory-${Math.floor(index / filesPerDirectory)}`);
      mkdirSync(directory, { recursive: true });
    }
    const content = Buffer.allocUnsafe(size);
    for (let at = 0; at < size; ) {
      const from = Math.floor(random() * (stuff.length - 4096));
      at += stuff.copy(content, at, from, from + 4096);
    }
    writeFileSync(join(directory, `file-${index}.bin`), content);
  }
}

function digestOf(path) {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

/** Makes the layers' archives `NAME/0.tar` and so on below `base`; returns their paths, the lowest layer's first. */
export function makeLayerArchives(base, files, bytes) {
  const random = randomNumbers(5);
  const stuff = material(random);
  return shares.map((share, index) => {
    const tree = join(base, "tree");
    writeFiles(tree, fileSizes(Math.round(share.files * files), share.bytes * bytes, random), random, stuff);
    const archive = join(base, `${index}.tar`);
    const owner = ["--owner=0", "--group=0", "--numeric-owner", "--mtime=@1700000000", "--sort=name"];
    run("tar", ["-cf", archive, ...owner, "-C", tree, "."]);
    rmSync(tree, { recursive: true });
    return archive;
  });
}

/**
 * Makes an image of layers: `plain` a docker-archive, `gzip` and `zstd` OCI archives. Returns its path, and the paths of the layers as they
 * are in it.
 */
export function makeImage(base, format, archives) {
  const layers = archives.map((archive) => compressed(archive, format));
  const diffIds = archives.map((archive) => `sha256:${digestOf(archive)}`);
  const config = JSON.stringify({
    architecture: hostArchitecture(),
    os: "linux",
    rootfs: { type: "layers", diff_ids: diffIds },
  });
  const contents = join(base, `image-${format}`);
  mkdirSync(contents);
  if (format === "plain") {
    for (const [index, layer] of layers.entries()) linkSync(layer, join(contents, `${index}.tar`));
    writeFileSync(join(contents, "config.json"), config);
    const manifest = [{ Config: "config.json", RepoTags: ["bench:latest"], Layers: layers.map((_, i) => `${i}.tar`) }];
    writeFileSync(join(contents, "manifest.json"), JSON.stringify(manifest));
  } else writeLayout(contents, format, config, layers);
  const image = join(base, `${format}.image`);
  run("tar", ["-cf", image, "-C", contents, "."]);
  rmSync(contents, { recursive: true });
  return { image, layers };
}

function compressed(archive, format) {
  if (format === "plain") return archive;
  if (format === "gzip") run("gzip", ["-k", "-6", archive]);
  else run("zstd", ["-q", "-3", archive]);
  return `${archive}${format === "gzip" ? ".gz" : ".zst"}`;
}

function hostArchitecture() {
  return { x64: "amd64" }[process.arch] ?? process.arch;
}

function writeLayout(contents, format, config, layers) {
  const blobs = join(contents, "blobs/sha256");
  mkdirSync(blobs, { recursive: true });
  const add = (mediaType, bytes) => {
    const digest = createHash("sha256").update(bytes).digest("hex");
    writeFileSync(join(blobs, digest), bytes);
    return { mediaType, digest: `sha256:${digest}`, size: bytes.length };
  };
  const kind = "application/vnd.oci.image";
  const manifest = {
    schemaVersion: 2,
    config: add(`${kind}.config.v1+json`, Buffer.from(config)),
    layers: layers.map((layer) => add(`${kind}.layer.v1.tar+${format}`, readFileSync(layer))),
  };
  const descriptor = add(`${kind}.manifest.v1+json`, Buffer.from(JSON.stringify(manifest)));
  const annotations = { "org.opencontainers.image.ref.name": "bench:latest" };
  writeFileSync(
    join(contents, "index.json"),
    JSON.stringify({ schemaVersion: 2, manifests: [{ ...descriptor, annotations }] }),
  );
  writeFileSync(join(contents, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
}

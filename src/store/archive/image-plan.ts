/** What is in an image archive: docker-archive (`manifest.json`), OCI layout (`index.json`), or both. Everything but layers is read and verified here. */
import { createHash } from "node:crypto";
import { StoreError } from "../error.js";
import { parseConfig } from "../images.js";
import { digestHex, imageName } from "../names.js";
import type { ImageConfig } from "../records.js";
import { misfit, type Shape } from "../shape.js";
import { type ImageFiles, readDocument } from "./image-files.js";
import { checkMediaType, isIndex } from "./media-types.js";
import { matches, type Platform, showPlatform } from "./platform.js";
import type { FileSource } from "./read-source.js";

/** A layer of an image that is to be loaded. */
export interface PlannedLayer {
  readonly diffId: string;
  readonly source: FileSource;
  /** Of the source as it is; undefined in docker-archives, where the diff ID must do. */
  readonly blobDigest?: string;
}

export interface PlannedImage {
  readonly configBytes: Buffer;
  readonly names: readonly string[];
  readonly layers: readonly PlannedLayer[];
}

/** The images of an archive for a platform. Throws StoreError for what is wrong in it. */
export function planImages(files: ImageFiles, platform: Platform, asked: boolean): PlannedImage[] {
  const hasIndex = files.find("index.json") !== undefined;
  const manifest = files.find("manifest.json") !== undefined ? dockerManifest(files) : undefined;
  const budget = new Budget(files.path);
  if (hasIndex) return new OciLayout(files, platform, asked, manifest ?? [], budget).images();
  if (manifest === undefined) {
    throw new StoreError(
      `${files.path} is no image: it has neither manifest.json nor index.json${files.find("repositories") ? " (archives of Docker before 1.10 are not read)" : ""}`,
    );
  }
  return manifest.map((entry) => dockerImage(files, entry, budget));
}

/** The configurations of all images are kept until all layers are there: more than this nobody has. */
const mostConfiguration = 64 * 1024 * 1024;

class Budget {
  private used = 0;

  constructor(private readonly path: string) {}

  /** Throws StoreError if there is too much. */
  take(config: Buffer): void {
    this.used += config.length;
    if (this.used > mostConfiguration) throw new StoreError(`${this.path} has too many images, or too large ones`);
  }
}

// ---- docker-archive -------------------------------------------------------------------------------------------------

interface DockerEntry {
  readonly Config: string;
  readonly RepoTags?: readonly string[] | null;
  readonly Layers: readonly string[];
}

function dockerManifest(files: ImageFiles): DockerEntry[] {
  const entries = parse(readDocument(files, "manifest.json"), "manifest.json");
  const isEntry = (entry: unknown): boolean => {
    const { Config, RepoTags, Layers } = (entry ?? {}) as Partial<DockerEntry>;
    return (
      typeof Config === "string" &&
      isStrings(Layers) &&
      (RepoTags === undefined || RepoTags === null || isStrings(RepoTags))
    );
  };
  if (!Array.isArray(entries) || entries.length === 0 || !entries.every(isEntry)) {
    throw new StoreError("manifest.json is damaged: it is no list of images with Config and Layers");
  }
  return entries as DockerEntry[];
}

function isStrings(value: unknown): boolean {
  return Array.isArray(value) && value.every((one) => typeof one === "string");
}

function dockerImage(files: ImageFiles, entry: DockerEntry, budget: Budget): PlannedImage {
  const configBytes = readDocument(files, entry.Config);
  budget.take(configBytes);
  const named = /^(?:blobs\/sha256\/)?([0-9a-f]{64})(?:\.json)?$/.exec(entry.Config)?.[1];
  if (named !== undefined) verify(configBytes, `sha256:${named}`, "the configuration");
  const { diff_ids: diffIds } = parseConfig(configBytes, "the configuration").rootfs;
  checkCount(diffIds, entry.Layers.length);
  const layers = entry.Layers.map((name, index) => {
    const source = files.find(name);
    if (source === undefined)
      throw new StoreError(`${files.path} is incomplete: the layer ${JSON.stringify(name)} is missing`);
    return { diffId: diffIds[index] as string, source };
  });
  return { configBytes, names: [...new Set((entry.RepoTags ?? []).map(imageName))], layers };
}

function checkCount(diffIds: readonly string[], layers: number): void {
  if (diffIds.length === layers) return;
  throw new StoreError(
    `the image is damaged: its configuration names ${diffIds.length} layers, its manifest ${layers}`,
  );
}

// ---- OCI ------------------------------------------------------------------------------------------------------------

interface Descriptor {
  readonly mediaType?: string;
  readonly digest: string;
  readonly size: number;
  readonly platform?: Platform | null;
  readonly annotations?: Readonly<Record<string, string>> | null;
}

interface Manifest {
  readonly mediaType?: string;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

interface Index {
  readonly mediaType?: string;
  readonly manifests: readonly Descriptor[];
}

/** An index of an image may lead to others; real ones do so once at most. */
const deepestIndex = 8;

class OciLayout {
  constructor(
    private readonly files: ImageFiles,
    private readonly platform: Platform,
    /** The user asked for the platform: an image that says nothing of it is for another one. */
    private readonly asked: boolean,
    private readonly docker: readonly DockerEntry[],
    private readonly budget: Budget,
  ) {}

  images(): PlannedImage[] {
    const index = this.index(readDocument(this.files, "index.json"), "index.json");
    const images: PlannedImage[] = [];
    for (const descriptor of this.chosen(index)) {
      const image = this.image(descriptor);
      const digest = createHash("sha256").update(image.configBytes).digest("hex");
      // One image may be listed for each of its names.
      const same = images.findIndex((other) => other.configBytes.equals(image.configBytes));
      const tags = this.docker
        .filter(({ Config }) => Config.includes(digest))
        .flatMap(({ RepoTags }) => RepoTags ?? []);
      const names = [...new Set([...(images[same]?.names ?? []), ...image.names, ...tags.map(imageName)])];
      if (same < 0) images.push({ ...image, names });
      else images[same] = { ...image, names };
    }
    return images;
  }

  /** The manifests to load: those for the platform, or for none in particular. */
  private chosen(index: Index): Descriptor[] {
    const images = index.manifests.filter(({ platform, annotations }) => {
      const isAttestation = annotations?.["vnd.docker.reference.type"] !== undefined;
      return !isAttestation && platform?.os !== "unknown";
    });
    const chosen = images.filter(({ platform }) => !platform || matches(this.platform, platform));
    if (chosen.length > 0) return chosen;
    const others = images.map(({ platform }) => (platform ? showPlatform(platform) : ""));
    throw new StoreError(
      others.length === 0
        ? `${this.files.path} has no image`
        : `${this.files.path} has no image for ${showPlatform(this.platform)}, only for ${[...new Set(others)].join(", ")}: choose one with --platform`,
    );
  }

  private image(descriptor: Descriptor, depth = 0): PlannedImage {
    const names = namesOf(descriptor);
    if (isIndex(descriptor.mediaType)) {
      if (depth === deepestIndex) throw new StoreError(`${this.files.path} is damaged: an index leads only to others`);
      const [first] = this.chosen(this.index(this.blob(descriptor, "index"), "the index"));
      const image = this.image(first as Descriptor, depth + 1);
      return { ...image, names: names.length > 0 ? names : image.names };
    }
    checkMediaType(descriptor.mediaType, "manifest");
    const manifest = parse(this.blob(descriptor, "manifest"), "the manifest") as Partial<Manifest>;
    if (!isDescriptor(manifest.config) || !Array.isArray(manifest.layers) || !manifest.layers.every(isDescriptor)) {
      throw new StoreError("the manifest is damaged: config or layers are missing");
    }
    checkMediaType(manifest.config.mediaType, "config");
    for (const { mediaType } of manifest.layers) checkMediaType(mediaType, "layer");
    const configBytes = this.blob(manifest.config, "configuration");
    this.budget.take(configBytes);
    const config = parseConfig(configBytes, "the configuration");
    this.checkPlatform(config);
    checkCount(config.rootfs.diff_ids, manifest.layers.length);
    const layers = manifest.layers.map((layer, position) => ({
      diffId: config.rootfs.diff_ids[position] as string,
      source: this.find(layer, "layer"),
      blobDigest: layer.digest,
    }));
    return { configBytes, names, layers };
  }

  private checkPlatform({ os, architecture }: ImageConfig): void {
    if (!this.asked || matches(this.platform, { os, architecture })) return;
    throw new StoreError(
      `the image is for ${showPlatform({ os, architecture })}, not for ${showPlatform(this.platform)}`,
    );
  }

  private index(bytes: Buffer, what: string): Index {
    const index = parse(bytes, what) as Partial<Index>;
    if (!Array.isArray(index.manifests) || !index.manifests.every(isDescriptor)) {
      throw new StoreError(`${what} is damaged: it has no list of manifests`);
    }
    return index as Index;
  }

  private find({ digest, size }: Descriptor, what: string): FileSource {
    const found = this.files.find(`blobs/sha256/${digestHex(digest)}`);
    if (found === undefined) throw new StoreError(`${this.files.path} is incomplete: the ${what} ${digest} is missing`);
    if (found.length !== size) {
      throw new StoreError(`the ${what} ${digest} should have ${size} bytes, and has ${found.length}`);
    }
    return found;
  }

  private blob(descriptor: Descriptor, what: string): Buffer {
    this.find(descriptor, what);
    const bytes = readDocument(this.files, `blobs/sha256/${digestHex(descriptor.digest)}`);
    verify(bytes, descriptor.digest, `the ${what}`);
    return bytes;
  }
}

const descriptorShape: Shape = {
  mediaType: "string",
  digest: "string",
  size: "number",
  platform: { os: "string", architecture: "string", variant: "string" },
  annotations: { "*": "string" },
};

function isDescriptor(value: unknown): value is Descriptor {
  const { digest, size } = (value ?? {}) as Partial<Descriptor>;
  return digest !== undefined && size !== undefined && misfit(value, descriptorShape) === undefined;
}

/** The names of an image in a layout: containerd's whole name, or what the writer called it; a bare tag is no name. */
function namesOf({ annotations }: Descriptor): string[] {
  const whole = annotations?.["io.containerd.image.name"];
  if (whole !== undefined) return [imageName(whole)];
  const name = annotations?.["org.opencontainers.image.ref.name"];
  return name !== undefined && /[:/]/.test(name) ? [imageName(name)] : [];
}

function verify(bytes: Buffer, digest: string, what: string): void {
  const found = createHash("sha256").update(bytes).digest("hex");
  if (found !== digestHex(digest))
    throw new StoreError(`the digest of ${what} should be ${digest}, and is sha256:${found}`);
}

function parse(bytes: Buffer, what: string): unknown {
  try {
    const value: unknown = JSON.parse(bytes.toString("utf8"));
    if (typeof value === "object" && value !== null) return value;
  } catch (cause) {
    throw new StoreError(`${what} is damaged: it is no JSON`, { cause });
  }
  throw new StoreError(`${what} is damaged: it is no JSON object`);
}

/** What manifests call the things they point to. */
import { StoreError } from "../error.js";

const indexes = new Set([
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
]);
const manifests = new Set([
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.v2+json",
]);
const configs = new Set(["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"]);
/** How they are compressed is seen from their first bytes. */
const layers = new Set([
  "application/vnd.oci.image.layer.v1.tar",
  "application/vnd.oci.image.layer.v1.tar+gzip",
  "application/vnd.oci.image.layer.v1.tar+zstd",
  "application/vnd.oci.image.layer.nondistributable.v1.tar",
  "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
  "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
  "application/vnd.docker.image.rootfs.diff.tar",
  "application/vnd.docker.image.rootfs.diff.tar.gzip",
  "application/vnd.docker.image.rootfs.diff.tar.zstd",
  "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
]);

export function isIndex(mediaType: string | undefined): boolean {
  return mediaType !== undefined && indexes.has(mediaType);
}

/** Throws StoreError that names a media type which is not the one of `what`. */
export function checkMediaType(mediaType: string | undefined, what: "manifest" | "config" | "layer"): void {
  const known = { manifest: manifests, config: configs, layer: layers }[what];
  if (mediaType !== undefined && known.has(mediaType)) return;
  const reason = what === "layer" && mediaType?.endsWith("+encrypted") ? ": encrypted layers cannot be read" : "";
  throw new StoreError(
    `the ${what} has the media type ${JSON.stringify(mediaType ?? "")}, which cowfs does not know${reason}`,
  );
}

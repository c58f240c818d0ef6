import type { Command } from "commander";
import { shortId } from "../../store/names.js";
import { age } from "../output/age.js";
import { parseFilters } from "../output/filters.js";
import { printList, type View } from "../output/list.js";
import type { ListOptions } from "../output/options.js";
import { size } from "../output/size.js";
import { rootOf } from "../root-option.js";
import { filterImages, imageFilters } from "./filters.js";
import { type StoredImage, splitName, storedImages } from "./stored.js";

/** One name of an image, or an image without one. */
interface Row extends StoredImage {
  readonly repository: string | null;
  readonly tag: string | null;
}

const none = "<none>";

function view(isLong: boolean, digests: boolean): View<Row> {
  return {
    fields: {
      Repository: { header: "REPOSITORY", of: ({ repository }) => repository ?? none },
      Tag: { header: "TAG", of: ({ tag }) => tag ?? none },
      // Digests are those of manifests, as a registry gives them; what is loaded from archives has none.
      Digest: { header: "DIGEST", of: () => none },
      ID: { header: "IMAGE ID", of: ({ id }) => (isLong ? id : shortId(id)) },
      CreatedSince: { header: "CREATED", of: ({ config }) => age(config.created) },
      CreatedAt: { header: "CREATED AT", of: ({ config }) => config.created ?? "N/A" },
      Size: { header: "SIZE", of: (row) => size(row.size, 3) },
      SharedSize: { header: "SHARED SIZE", of: ({ shared }) => size(shared, 3) },
      UniqueSize: { header: "UNIQUE SIZE", of: (row) => size(row.size - row.shared, 3) },
      Containers: { header: "CONTAINERS", of: ({ containers }) => String(containers.length) },
    },
    columns: ["Repository", "Tag", ...(digests ? ["Digest"] : []), "ID", "CreatedSince", "Size"],
    quiet: "ID",
    object: ({ id, repository, tag, config, stored, size, shared, containers }) => ({
      id,
      repository,
      tag,
      created: config.created ?? null,
      stored,
      size,
      sharedSize: shared,
      uniqueSize: size - shared,
      containers,
      labels: config.config?.Labels ?? {},
    }),
  };
}

export interface ImageListOptions extends ListOptions {
  readonly digests?: boolean;
}

/** `cowfs image ls [REFERENCE]`. */
export function imageListCommand(command: Command, reference: string | undefined, options: ImageListOptions): number {
  const root = rootOf(command);
  const words = [...(options.filter ?? []), ...(reference === undefined ? [] : [`reference=${reference}`])];
  const images = filterImages(root, storedImages(root), parseFilters(words, imageFilters));
  const rows = images.flatMap((image): Row[] => {
    if (image.names.length === 0) return [{ ...image, repository: null, tag: null }];
    return image.names.map((name) => ({ ...image, ...splitName(name) }));
  });
  // An id once, however many names it has.
  const shown =
    options.quiet === true && options.format === undefined
      ? images.map((image) => ({ ...image, repository: null, tag: null }))
      : rows;
  printList(shown, view(options.trunc === false, options.digests === true), options);
  return 0;
}

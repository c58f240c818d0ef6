/** What names in an archive of a layer mean, and which of its attributes would be taken for marks. */

import { TRUSTED_PREFIX, USER_PREFIX } from "../../layer/mark-names.js";
import { AUFS_PREFIX, OPAQUE_MARKER, WHITEOUT_PREFIX } from "../../layer/marks.js";
import { shown } from "../../text.js";
import { StoreError } from "../error.js";

/** The components of a path in an archive, taken from the root of the layer; none for the root. Throws StoreError if it leads out of it. */
export function components(path: string): string[] {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === "..") {
      if (parts.pop() === undefined)
        throw new StoreError(`the archive has the name ${quote(path)}, which leads out of the layer`);
    } else parts.push(part);
  }
  for (const part of parts) {
    if (part.length > 255 || part.includes("\0"))
      throw new StoreError(`the archive has the name ${quote(path)}, which no file can have`);
  }
  return parts;
}

export type NameMeaning = "plain" | "whiteout" | "opaque" | "metadata";

/** What a name with these components is. Throws StoreError for what no reader of layers can make sense of. */
export function meaningOf(parts: readonly string[]): NameMeaning {
  const last = parts.length - 1;
  for (let index = 0; index <= last; index++) {
    const part = parts[index] as string;
    if (!part.startsWith(WHITEOUT_PREFIX)) continue;
    if (part === OPAQUE_MARKER && index === last) return "opaque";
    if (part.startsWith(AUFS_PREFIX)) return "metadata";
    const name = part.slice(WHITEOUT_PREFIX.length);
    if (index < last || name === "" || name === "." || name === "..") {
      throw new StoreError(
        `the archive has the name ${quote(parts.join("/"))}, which is no whiteout: names that begin with .wh. cannot be in a layer`,
      );
    }
    return "whiteout";
  }
  return "plain";
}

/**
 * The name under which an attribute of an archive is kept in a layer: as overlayfs does it for nested mounts, what would be taken for a mark
 * gets the prefix twice, and shows in the union as it was. Undefined: it is left out, since it could not be told from a mark.
 */
export function storedAttribute(attribute: string): string | undefined {
  if (attribute.startsWith("user.fuseoverlayfs.")) return undefined;
  for (const prefix of [TRUSTED_PREFIX, USER_PREFIX]) {
    if (attribute.startsWith(prefix)) return `${prefix}overlay.${attribute.slice(prefix.length)}`;
  }
  return attribute;
}

/** The other way: the name in an archive of an attribute that is in a layer, undefined for marks. */
export function archivedAttribute(attribute: string): string | undefined {
  if (attribute.startsWith("user.fuseoverlayfs.")) return undefined;
  for (const prefix of [TRUSTED_PREFIX, USER_PREFIX]) {
    if (!attribute.startsWith(prefix)) continue;
    const rest = attribute.slice(prefix.length);
    return rest.startsWith("overlay.") ? prefix + rest.slice("overlay.".length) : undefined;
  }
  return attribute;
}

/** Bytes as text for messages. */
export function quote(bytes: string): string {
  return JSON.stringify(shown(bytes));
}

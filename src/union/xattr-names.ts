/**
 * Names of extended attributes, between users and layers. What lies under the prefixes that union file systems use for
 * their own marks is escaped by one more `overlay.` on its way down, as overlayfs does for nested mounts: a user's
 * `trusted.overlay.opaque` is stored as `trusted.overlay.overlay.opaque` and never taken for a mark.
 */
import { type MarkNames, TRUSTED_PREFIX, trustedNames, USER_PREFIX, userNames } from "../layer/mark-names.js";

const prefixes = [TRUSTED_PREFIX, USER_PREFIX];
const ESCAPE = "overlay.";
/** fuse-overlayfs's marks: never shown, never copied, not to be set. */
const FOREIGN_PREFIX = "user.fuseoverlayfs.";

/** The stored name of an attribute that a user names. */
export function storedName(name: string): string {
  for (const prefix of prefixes) {
    if (name.startsWith(prefix)) return prefix + ESCAPE + name.slice(prefix.length);
  }
  return name;
}

/** The name users see of a stored attribute, or null for a mark. */
export function shownName(name: string): string | null {
  for (const prefix of prefixes) {
    if (!name.startsWith(prefix)) continue;
    const rest = name.slice(prefix.length);
    return rest.startsWith(ESCAPE) ? prefix + rest.slice(ESCAPE.length) : null;
  }
  return name.startsWith(FOREIGN_PREFIX) ? null : name;
}

/** Whether users may read, set or remove the attribute at all. */
export function isReserved(name: string): boolean {
  return name.startsWith(FOREIGN_PREFIX);
}

/** What copy-up stores the attribute as, or null for one it leaves behind: a mark, which describes one layer only. */
export function copiedName(name: string, names: MarkNames): string | null {
  if (name === trustedNames.plain || name === userNames.plain) return names.plain;
  return shownName(name) === null ? null : name;
}

/** Whether copy-up must fail where the upper cannot hold the attribute: it carries a user's data, a permission, or what an object is. */
export function mustCopyUp(name: string): boolean {
  return (
    name.startsWith("user.") ||
    name === trustedNames.plain ||
    name.startsWith("security.") ||
    name.startsWith("system.posix_acl_")
  );
}

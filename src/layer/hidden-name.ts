import {
  classifyMarkedName,
  NAME_GONE,
  NAME_HIDDEN,
  NAME_WHITEOUT,
  readPlain,
  readXattrWhiteout,
  WHITEOUT_PREFIX,
} from "./marks.js";
import type { Stat } from "./stat.js";

/**
 * The name that the entry `name` of a layer's directory hides in the layers below, if it is a whiteout, in whatever form; null for a mark of another kind,
 * undefined for an object, or -errno. `stat` describes the entry; `xattrWhiteouts` is what the marks of the directory say.
 */
export function hiddenName(
  fd: number,
  name: string,
  stat: Stat,
  xattrWhiteouts: boolean,
): string | null | undefined | number {
  if (stat.isWhiteoutDevice) {
    const plain = readPlain(fd, name);
    return plain < 0 ? plain : plain === 1 ? undefined : name;
  }
  if (xattrWhiteouts && stat.isRegular && stat.size === 0) {
    const marked = readXattrWhiteout(fd, name);
    if (marked !== 0) return marked < 0 ? marked : name;
  }
  if (!name.startsWith(WHITEOUT_PREFIX)) return undefined;
  const kind = classifyMarkedName(fd, name, stat);
  if (kind < 0) return kind;
  if (kind === NAME_WHITEOUT) {
    const hidden = name.slice(WHITEOUT_PREFIX.length);
    // No entry has such a name: these are the directory itself, and the one that it is in.
    return hidden === "." || hidden === ".." ? null : hidden;
  }
  if (kind === NAME_GONE) return name;
  return kind === NAME_HIDDEN ? null : undefined;
}

/** `--storage-opt`: what a writable layer is to be. */
import { parseSize } from "../assemble/specs/size.js";
import { shown } from "../text.js";
import { UsageError } from "./exit.js";

/** Less is a mistake: `10` that was to mean `10g`. */
const least = 64 * 1024;

/** The limit that `value` says, in bytes. Throws UsageError, which calls the option `name`. */
export function sizeLimit(name: string, value: string): number {
  const size = parseSize(value);
  if (size === undefined) {
    throw new UsageError(
      `${name}=${shown(value)} is no size: use a number of bytes, or one with k, m, g or t (512m, 10G)`,
    );
  }
  if (size < least) throw new UsageError(`${name}=${shown(value)} is too little: at least 64k, as in 512m or 10G`);
  return size;
}

/** What `NAME=VALUE` words say, as written, the last one of a name: there is only `size`. Throws UsageError. */
export function storageOptions(words: readonly string[]): { readonly size?: string } {
  let size: string | undefined;
  for (const word of words) {
    const [name = "", value] = word.split(/=(.*)/s, 2);
    if (name !== "size") {
      throw new UsageError(`the storage option ${shown(name)} is unknown: there is size=BYTES, as in size=10G`);
    }
    if (value === undefined) throw new UsageError("the storage option size needs a value: size=10G");
    sizeLimit("size", value);
    size = value;
  }
  return size === undefined ? {} : { size };
}

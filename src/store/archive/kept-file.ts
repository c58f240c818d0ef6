/** A file of the layer that a later entry of its archive replaces: its content is needed to give the archive again. */
import { ignore } from "../../errno.js";
import { AT_FDCWD, O_CREAT, O_EXCL, O_NOFOLLOW, O_RDONLY, O_WRONLY } from "../../native/constants.js";
import { native } from "../../native/index.js";

/** Takes (dirfd, name) out of the tree, to the path `aside`. 0 or -errno. `isLinked`: it has other names there, whose number of links is to be theirs alone. */
export function keepFile(dirfd: number, name: string, aside: string, isLinked: boolean): number {
  if (!isLinked) return native.rename(dirfd, name, AT_FDCWD, aside, 0);
  const copied = copyContent(dirfd, name, aside);
  return copied < 0 ? copied : native.unlink(dirfd, name, 0);
}

function copyContent(dirfd: number, name: string, aside: string): number {
  const input = native.open(dirfd, name, O_RDONLY | O_NOFOLLOW, 0);
  if (input < 0) return input;
  const output = native.open(AT_FDCWD, aside, O_WRONLY | O_CREAT | O_EXCL, 0o600);
  const copied = output < 0 ? output : native.copyData(input, output, Number.MAX_SAFE_INTEGER);
  ignore(native.close(input), "only read");
  if (output < 0) return output;
  const closed = native.close(output);
  return copied < 0 ? copied : closed;
}

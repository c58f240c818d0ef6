/**
 * What the attribute of a metacopy says beside that it is one: perhaps the fs-verity digest that its data must have, as with
 * overlayfs's option `verity`. The kernel checks each page of such data against that digest when it is read; here only the digest is compared.
 */
import { EINVAL, EIO, ENODATA, ENOTTY, EOPNOTSUPP, ERANGE } from "../errno.js";
import { userNames } from "../layer/mark-names.js";
import { isNoAttribute, metacopyNames } from "../layer/marks.js";
import { native } from "../native/index.js";
import { locate } from "./locate.js";
import type { Union } from "./union.js";

/** Whether digests count: not at all, where a metacopy has one, or always: a metacopy without one is EIO, and none is made. */
export type Verity = "off" | "on" | "require";

/** struct ovl_metacopy: u8 version, length, flags, algorithm; then the digest. */
const HEAD = 4;
const LONGEST_DIGEST = 64;
const header = Buffer.alloc(HEAD + LONGEST_DIGEST);

/** _IOWR('f', 134, struct fsverity_digest {u16 algorithm, size; u8 digest[size]}) */
const FS_IOC_MEASURE_VERITY = 0xc0046686;
const measured = Buffer.alloc(HEAD + LONGEST_DIGEST);
const nothing = new Uint8Array(0);

/**
 * Reads the attribute of the metacopy (fd, name) into `header`: its length, 0 if it is empty, -EINVAL if it is malformed, or another
 * -errno. One that the owner of the file may have set is malformed where the driver may read what he may not.
 */
export function readMark(u: Union, fd: number, name: string): number {
  for (const attribute of metacopyNames) {
    const length = native.getxattr(fd, name, attribute, header);
    if (length < 0 && isNoAttribute(length)) continue;
    if (attribute === userNames.metacopy && !u.followsUser) return -EINVAL;
    if (length <= 0) return length === -ERANGE ? -EINVAL : length;
    return length >= HEAD && header[0] === 0 && header[1] === length ? length : -EINVAL;
  }
  return 0;
}

/** Reads the digest of an open file into `measured`: its length, 0 if it has none, or -errno. */
function measure(fd: number): number {
  measured.writeUInt16LE(LONGEST_DIGEST, 2);
  const r = native.ioctl(fd, FS_IOC_MEASURE_VERITY, measured);
  if (r === -ENODATA || r === -ENOTTY || r === -EOPNOTSUPP) return 0;
  return r < 0 ? r : measured.readUInt16LE(2);
}

/** Whether the open file `fd` is what the metacopy `node` may have as its data: 0, -EIO, or another -errno. Costs nothing with `verity=off`. */
export function checkDigest(u: Union, node: number, fd: number): number {
  if (u.verity === "off") return 0;
  const found = locate(u, node);
  const length = found < 0 ? found : readMark(u, u.atFd, u.atName);
  if (length < 0) return length === -EINVAL ? -EIO : length;
  if (length <= HEAD || header[3] === 0) {
    return u.verity === "on" ? 0 : wrong(u, node, "a metacopy without a digest, which verity=require demands");
  }
  const size = measure(fd);
  if (size < 0) return size;
  if (size === 0) return wrong(u, node, "the data of a metacopy with a digest has no fs-verity");
  const same =
    measured.readUInt16LE(0) === header[3] &&
    measured.subarray(HEAD, HEAD + size).equals(header.subarray(HEAD, length));
  return same ? 0 : wrong(u, node, "the data of a metacopy has another digest");
}

function wrong(u: Union, node: number, message: string): number {
  const { table } = u;
  u.warn(message, table.isNameless(node) ? node : table.parent(node), table.name(node), -EIO);
  return -EIO;
}

/** The attribute for a metacopy whose data will be the open file `fd`: null if there must not be one, or -errno. */
export function newMark(u: Union, fd: number): Uint8Array | null | number {
  const size = measure(fd);
  if (size < 0) return size;
  if (size === 0) return u.verity === "require" ? null : nothing;
  const mark = Buffer.alloc(HEAD + size);
  mark[1] = mark.length;
  mark[3] = measured.readUInt16LE(0);
  measured.copy(mark, HEAD, HEAD, HEAD + size);
  return mark;
}

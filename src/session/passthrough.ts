/** FUSE passthrough: whether it can be had, and the kernel's list of backing files. */
import { EBADF, ENOTTY, EPERM, errnoName, ignore } from "../errno.js";
import { native } from "../native/index.js";
import { INIT2_PASSTHROUGH } from "../protocol/constants.js";
import type { Backings } from "../union/open-files.js";
import type { Union } from "../union/union.js";
import type { Log } from "./config.js";
import type { Notifier } from "./notify.js";

/** _IOW(229, 1, struct fuse_backing_map {s32 fd; u32 flags; u64 padding}), and _IOW(229, 2, u32). */
const BACKING_OPEN = 0x4010e501;
const BACKING_CLOSE = 0x4004e502;

const map = new Int32Array(4);
const mapBytes = new Uint8Array(map.buffer);
const closing = new Uint32Array(1);
const closingBytes = new Uint8Array(closing.buffer);

function register(channel: number, fd: number): number {
  map[0] = fd;
  return native.ioctl(channel, BACKING_OPEN, mapBytes);
}

/** statfs(2) types of file systems that lie on others (or may: FUSE does with passthrough). */
const stacked = new Set([0x794c7630, 0xf15f, 0x65735546]);

/**
 * The stack depth to ask for: 1 where all layers lie on file systems of their own, otherwise 2, and then no overlayfs can be
 * mounted on top of this mount.
 */
export function stackDepth(u: Union): number {
  const raw = new Uint8Array(120);
  const type = new DataView(raw.buffer);
  for (const layer of u.layers) {
    if (layer === null || native.statfs(layer.root, raw) < 0) continue;
    if (stacked.has(type.getUint32(0, true))) return 2;
  }
  return 1;
}

/** After INIT: undefined if files can be passed through, otherwise why not. */
export function whyNoPassthrough(channel: number, flags2: number): string | undefined {
  if ((flags2 & INIT2_PASSTHROUGH) === 0) {
    return "this kernel has no FUSE passthrough (Linux 6.9 with CONFIG_FUSE_PASSTHROUGH)";
  }
  // Rights are checked before the descriptor is looked at.
  const probe = register(channel, -1);
  if (probe === -EBADF) return undefined;
  if (probe === -EPERM) {
    return "FUSE passthrough needs CAP_SYS_ADMIN in the initial user namespace";
  }
  return probe === -ENOTTY
    ? "this kernel has no FUSE passthrough"
    : `FUSE passthrough cannot be used (${errnoName(probe)})`;
}

/** The backing files of one connection. */
export class ChannelBackings implements Backings {
  private readonly told = new Set<number>();

  constructor(
    private readonly channel: number,
    private readonly notifier: Notifier,
    private readonly log: Log,
  ) {}

  open(fd: number): number {
    const id = register(this.channel, fd);
    // ELOOP: the file lies on too many file systems. Whatever the reason, the file is served as in `cached`.
    if (id < 0 && !this.told.has(id)) {
      this.told.add(id);
      this.log("info", "a file cannot be passed through: it and its like are read and written by the driver", {
        error: errnoName(id),
      });
    }
    return id;
  }

  close(id: number): void {
    closing[0] = id;
    ignore(
      native.ioctl(this.channel, BACKING_CLOSE, closingBytes),
      "the id was the kernel's own, or the connection is over",
    );
  }

  /**
   * Attributes alone: for those the kernel takes no lock that a request could hold, so this may be sent in the middle of one.
   */
  stale(node: number): void {
    ignore(this.notifier.invalInode(node, -1, 0), "ENOENT: the kernel does not know the node yet, or any more");
  }
}

import { ignore } from "../errno.js";
import { opendir } from "../union/ops/opendir.js";
import { releasedir } from "../union/ops/releasedir.js";
import type { Union } from "../union/union.js";

/** Directories whose listing is kept between two READDIRs; more readers at once only cost repeated work. */
const kept = 64;

/**
 * The union's handles of directories that are being read. The kernel opens directories without telling (OPENDIR was
 * answered ENOSYS), so a handle belongs to the node, whoever reads it, and goes with the last entry or with the node.
 */
export class Listings {
  /** In order of use, the oldest first. */
  private readonly handles = new Map<number, number>();

  constructor(private readonly union: Union) {}

  /** The handle for a directory, or -errno. */
  handle(nodeid: number): number {
    const known = this.handles.get(nodeid);
    if (known !== undefined) return known;
    const handle = opendir(this.union, nodeid);
    if (handle < 0) return handle;
    this.handles.set(nodeid, handle);
    if (this.handles.size > kept) {
      const [oldest] = this.handles.keys();
      if (oldest !== undefined) this.drop(oldest);
    }
    return handle;
  }

  /** The directory has been read to its end, or the kernel forgets it. */
  drop(nodeid: number): void {
    const handle = this.handles.get(nodeid);
    if (handle === undefined) return;
    this.handles.delete(nodeid);
    ignore(releasedir(this.union, handle), "the handle was ours alone");
  }
}

import { join } from "node:path";
import { EPERM, errnoName } from "../../errno.js";
import { StoreError } from "../../store/error.js";
import { createSubvolume, isOnBtrfs, sealSubvolume, snapshotSubvolume } from "../../store/subvolumes.js";
import { makeTemporary } from "../../store/temporary.js";
import { needsRoot, treeDriver } from "./tree-format.js";

function must(result: number, what: string): void {
  if (result < 0) throw new StoreError(`${what}: ${errnoName(result)}`);
}

/** Subvolumes of btrfs: the base trees are a chain of sealed snapshots, a layer each, and a container is a snapshot of the last one. */
export const btrfsDriver = treeDriver({
  name: "btrfs",
  chained: true,

  async lacking(root) {
    if (!isOnBtrfs(root.path)) return "the data root does not lie on btrfs";
    if (process.geteuid?.() !== 0) return needsRoot;
    const probe = await makeTemporary(root, "probe");
    try {
      const made = createSubvolume(join(probe.path, "subvolume"));
      if (made === -EPERM) return "no permission to make subvolumes";
      return made < 0 ? `no subvolume can be made (${errnoName(made)})` : undefined;
    } finally {
      probe.dispose();
    }
  },

  create: (path) => must(createSubvolume(path), `the subvolume ${path} cannot be made`),
  copy: (from, to) => must(snapshotSubvolume(from, to), `no snapshot of ${from} can be made`),
  seal: (path) => must(sealSubvolume(path), `the subvolume ${path} cannot be sealed`),

  /** A snapshot has the inodes of what it is made of, and whatever changes one changes its time. */
  untouched: () => (now, before) =>
    now.inoLow === before.inoLow &&
    now.inoHigh === before.inoHigh &&
    now.ctimeWords.every((word, index) => word === before.ctimeWords[index]),
});

import type { DataRoot } from "../../store/data-root.js";
import type { ContainerRecord, DriverName } from "../../store/records.js";
import type { Change } from "../changes.js";
import type { UnionMounter } from "../union.js";

/**
 * How the writable layers of containers are kept and shown: everything that differs from one storage driver to the other. `directory` is that of a
 * container (`containers/ID`), `merged` in it where its tree is mounted. All throw StoreError.
 */
export interface StorageDriver {
  readonly name: DriverName;
  /** What the directory of a container holds: one that does not run can go on with another driver of the same format. */
  readonly format: "upper" | "btrfs" | "vfs";

  /** It can hold a container to `--storage-opt size`, on some file systems at least. */
  readonly limitsSize: boolean;
  /** What of it must be there at all times. */
  readonly directories: readonly string[];

  /** Which requirement is missing to use it on a data root; undefined if it can be used. Leaves nothing. */
  lacking(root: DataRoot): Promise<string | undefined>;

  /** Makes what a new container needs in its directory, before that is published. */
  prepare(root: DataRoot, container: ContainerRecord, directory: string): Promise<void>;

  /**
   * Makes what a container that had another driver of its format has what it is to this one. Throws StoreError if it cannot keep what the container was
   * promised.
   */
  takeOver?(root: DataRoot, container: ContainerRecord): void;

  /** Shows the container's tree at its `merged`. It is unmounted by `unmountUnion`, whatever driver it was. */
  mount(root: DataRoot, container: ContainerRecord, mounter: UnionMounter): Promise<void>;

  /** What the container has changed of its image, sorted by path, a directory before what is in it. */
  diff(root: DataRoot, container: ContainerRecord): Promise<Change[]>;

  /** The archive of a layer that holds what `diff` tells of, in pieces. `merged`: where the tree is to be seen, without mounts in it. */
  layer(root: DataRoot, container: ContainerRecord, merged: string): Promise<Iterable<Buffer>>;

  /** How many bytes the files hold that the container has of its own. */
  size(root: DataRoot, container: ContainerRecord): Promise<number>;

  /** Its directories, by Docker's names; an empty one of an image that is gone. */
  places(root: DataRoot, container: ContainerRecord): Readonly<Record<string, string>>;
}

import type { Place } from "../harness/area.js";
import type { Tree } from "../harness/layers.js";
import type { Kind } from "../harness/mounts.js";

/** One behaviour: layers, and what is done in their union. The same steps run on each column, each in a directory of its own. */
export interface ConformanceCase {
  readonly name: string;
  /** Top first; one empty layer if nothing is said. */
  readonly lowers?: readonly Tree[];
  readonly upper?: Tree;
  /** A shell script that runs in the topmost lower layer, before it is mounted. */
  readonly prepare?: string;
  /** See harness/steps.ts. What is expected must be what the native directory answers; `?` expects nothing, and compares all the same. `remount` applies to all cases of a theme at once. */
  readonly steps: string;
  /** What of the final tree is compared (words of tools/trees.py). `none` if it means nothing. */
  readonly tree?: string;
  /** Why cowfs answers otherwise than a native directory. */
  readonly differs?: string;
  /** Why cowfs answers otherwise in a run under `--io passthrough` (COWFS_TEST_IO), which is not compared with the document. */
  readonly passthrough?: string;
  /** The same under `--io cached`. */
  readonly cached?: string;
  /** Why kernel overlayfs does, where that is known. */
  readonly overlay?: string;
  /** What users of other union file systems complain about, as a short title. */
  readonly complaint?: string;
}

/** A reason for `passthrough`. */
export const keepsLower =
  "a descriptor, and its locks, from before the copy-up stay with the lower file, which is another object for the kernel";

/** Cases that share their mounts. */
export interface Theme {
  readonly title: string;
  /** Where the lower layers are; on the disk otherwise. */
  readonly lowerPlaces?: readonly Place[];
  readonly upperPlace?: Place;
  /** There is no upper: the mount is read-only. */
  readonly readOnly?: boolean;
  /** More options of cowfs. */
  readonly options?: readonly string[];
  readonly cases: readonly ConformanceCase[];
}

/** What a case runs on. */
export interface Column {
  readonly title: string;
  readonly kind: Kind;
  readonly options: readonly string[];
}

/** The first one is what the others are compared with. */
export const columns: readonly Column[] = [
  { title: "native", kind: "native", options: [] },
  // What the kernel's own configuration says where nobody has changed it, said out loud.
  {
    title: "overlayfs",
    kind: "overlay",
    options: ["redirect_dir=follow", "index=off", "metacopy=off", "xino=off"],
  },
  {
    title: "overlayfs, all options",
    kind: "overlay",
    options: ["redirect_dir=on", "index=on", "metacopy=on", "xino=auto"],
  },
  { title: "cowfs", kind: "cowfs", options: [] },
];

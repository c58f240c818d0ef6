import { mkdirSync, readFileSync, realpathSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { errnoName } from "../errno.js";
import { handDownNothing } from "../layer/hand-down.js";
import { AT_FDCWD } from "../native/constants.js";
import { inUserNamespace } from "../native/process.js";
import { bytesOf } from "../text.js";
import { writeAtomically } from "./atomic.js";
import { StoreError } from "./error.js";
import { makeDirectories } from "./make-directories.js";

/** The layout that this program reads and writes. Another number in `<root>/version` is another program's. */
const layoutVersion = 1;

/**
 * The directory that holds everything: layers, images, containers, volumes. Only names and places; nothing is kept in memory, since
 * other commands change the same files at any time.
 */
export class DataRoot {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** `layers/HEX/`: one directory per layer, by the SHA-256 of its uncompressed tar archive. */
  get layers(): string {
    return join(this.path, "layers");
  }

  /** `images/HEX/`: one directory per image, by the SHA-256 of its configuration; and `images/names.json`. */
  get images(): string {
    return join(this.path, "images");
  }

  /** `containers/ID/{upper,work,merged,config.json,state.json}`. */
  get containers(): string {
    return join(this.path, "containers");
  }

  /** `container-names/NAME`: a symbolic link whose target is the id of the container, so that a name is taken by one system call. */
  get containerNames(): string {
    return join(this.path, "container-names");
  }

  /** `volumes/NAME/_data` and `volumes/NAME/volume.json`. */
  get volumes(): string {
    return join(this.path, "volumes");
  }

  /** `volume-uses/ID/NAME.json`: who has a volume mounted by its plugin. Missing until somebody has. */
  get volumeUses(): string {
    return join(this.path, "volume-uses");
  }

  /** `build-cache/KEY.json`: what steps of builds made; see `build-cache.ts`. */
  get buildCache(): string {
    return join(this.path, "build-cache");
  }

  /** `bases/DRIVER/HEX/tree`: see `bases.ts`. */
  get bases(): string {
    return join(this.path, "bases");
  }

  /** What is being built or taken away: see `temporary.ts`. On the same file system as everything else. */
  get temporary(): string {
    return join(this.path, "tmp");
  }

  /** Files to lock: see `lock.ts`. */
  get locks(): string {
    return join(this.path, "locks");
  }
}

/** Whether root owns the directory: the one that `unshare -r` makes of a user does not, that of a container without privileges does. */
function isRoots(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.uid === 0;
}

/** Where the data root is if nobody says: as root for the whole machine (or a container that has its own), otherwise in the user's home, also for whom only a user namespace calls root. */
function defaultRootPath(environment: NodeJS.ProcessEnv = process.env): string {
  const { COWFS_ROOT, XDG_DATA_HOME } = environment;
  if (COWFS_ROOT !== undefined && COWFS_ROOT !== "") return resolve(COWFS_ROOT);
  if (process.geteuid?.() === 0 && (!inUserNamespace() || isRoots("/var/lib"))) return "/var/lib/cowfs";
  // The specification of base directories: what is not absolute is to be ignored.
  const base =
    XDG_DATA_HOME !== undefined && isAbsolute(XDG_DATA_HOME) ? XDG_DATA_HOME : join(homedir(), ".local/share");
  return join(base, "cowfs");
}

/**
 * Opens the data root, and makes its directories if they are missing. Only the owner may look in: layers hold set-user-id programs and
 * other people's secrets. Throws StoreError.
 */
export function openDataRoot(path: string = defaultRootPath()): DataRoot {
  if (path === "") throw new StoreError("the data root has no name: choose one with --root or COWFS_ROOT");
  let root = new DataRoot(resolve(path));
  try {
    // A container's processes may have another user, who must get to their root: it can be passed, not listed.
    makeDirectories(root.path, 0o711);
    // The kernel's tables of mounts, by which users of what is in it are found, know no symbolic links.
    root = new DataRoot(realpathSync.native(root.path));
    for (const directory of [
      root.layers,
      root.images,
      root.containers,
      root.containerNames,
      root.volumes,
      root.buildCache,
    ]) {
      makeOwn(directory, 0o711);
    }
    for (const directory of [root.temporary, root.locks]) makeOwn(directory, 0o700);
  } catch (cause) {
    throw new StoreError(
      `the data root ${root.path} cannot be made: ${reason(cause)}; choose another with --root or COWFS_ROOT`,
      { cause },
    );
  }
  checkVersion(root);
  return root;
}

/** What the data root, or the directory around it, hands down is no part of layers and containers. */
function makeOwn(directory: string, mode: number): void {
  if (mkdirSync(directory, { recursive: true, mode }) === undefined) return;
  const r = handDownNothing(AT_FDCWD, bytesOf(directory));
  if (r < 0) throw new Error(`${directory}: ${errnoName(r)}`);
}

function checkVersion(root: DataRoot): void {
  const file = join(root.path, "version");
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ENOENT") {
      throw new StoreError(`${file} cannot be read: ${reason(cause)}`, { cause });
    }
    writeAtomically(file, `${layoutVersion}\n`);
    return;
  }
  if (text.trim() !== String(layoutVersion)) {
    throw new StoreError(
      `the data root ${root.path} has layout ${JSON.stringify(text.trim())}, and this program knows ${layoutVersion}: use the version of cowfs that made it, or another root (--root)`,
    );
  }
}

/** Why a system call failed, from Node's exception, without the call and the path. */
export function reason(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message
    .trim()
    .replace(/\s*\n\s*/g, " ")
    .replace(/, \w+( '.*')?$/, "");
}

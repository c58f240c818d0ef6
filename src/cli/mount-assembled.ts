import { applyOver } from "../assemble/apply.js";
import { ensureVolumes, planMounts } from "../assemble/plan.js";
import { collectSpecs, type MountFlags } from "../assemble/specs/collect.js";
import { SpecError } from "../assemble/specs/spec-error.js";
import { type DataRoot, openDataRoot } from "../store/data-root.js";
import type { MountSpec } from "../store/records.js";
import { newUseId, releaseAll, thisProcess } from "../store/volume-drivers/uses.js";
import { warn } from "../store/warn.js";
import { shown } from "../text.js";
import { workingDirectory } from "./arguments.js";
import { UsageError } from "./exit.js";
import { mountCommand } from "./mount.js";
import type { MountWords } from "./mount-plan.js";
import { orderly } from "./orderly.js";

/** What a mount takes from the data root, as the command line says it: bytes in latin1 strings. */
export interface AssemblyWords {
  readonly root: string | undefined;
  readonly image: string | undefined;
  readonly volume: readonly string[] | undefined;
  readonly mounts: readonly string[] | undefined;
  readonly tmpfs: readonly string[] | undefined;
  readonly volumesFrom: readonly string[] | undefined;
}

/** `cowfs mount` with the layers of an image, or with volumes and binds over it. Returns the exit code. */
export async function assembledMountCommand(
  words: MountWords,
  wish: AssemblyWords,
  isLaunched: boolean,
): Promise<number> {
  const root = openDataRoot(wish.root === undefined ? undefined : shown(wish.root));
  const lower = wish.image === undefined ? words.lower : await layersOf(root, shown(wish.image), words);
  const flags: MountFlags = {
    volumes: wish.volume?.map(shown) ?? [],
    mounts: wish.mounts?.map(shown) ?? [],
    tmpfs: wish.tmpfs?.map(shown) ?? [],
    volumesFrom: wish.volumesFrom?.map(shown) ?? [],
  };
  if (Object.values(flags).every((list) => list.length === 0)) {
    return await mountCommand({ ...words, lower }, isLaunched);
  }
  if (words.foreground === true) {
    throw new UsageError("--foreground cannot be had together with -v, --mount, --tmpfs and --volumes-from");
  }
  const specs = await specsOf(root, flags);
  const volumeUses = { root: root.path, id: newUseId() };
  const cover = async (mountpoint: string): Promise<void> => {
    const { daemonMounter } = await import("./container/mounter.js");
    try {
      const named = await ensureVolumes(root, specs);
      const planned = await planMounts(root, named, thisProcess(volumeUses.id, mountpoint));
      await applyOver(root, mountpoint, planned, daemonMounter);
    } catch (error) {
      for (const problem of await releaseAll(root, volumeUses.id)) warn(problem.message);
      throw error;
    }
  };
  return await orderly(() => mountCommand({ ...words, lower, covered: true, volumeUses }, isLaunched, cover));
}

async function layersOf(root: DataRoot, image: string, words: MountWords): Promise<string[]> {
  if (words.lower.length > 0) throw new UsageError("--image stands in place of --lower: give one of them");
  const { findImage, imageTrees } = await import("../store/images.js");
  const trees = imageTrees(root, findImage(root, image));
  // A path may have a colon in it.
  return trees.map((tree) => Buffer.from(tree, "utf8").toString("latin1").replace(/[:\\]/g, "\\$&"));
}

async function specsOf(root: DataRoot, flags: MountFlags): Promise<MountSpec[]> {
  const { findContainer } = await import("../store/containers.js");
  try {
    return collectSpecs(flags, {
      cwd: shown(workingDirectory()),
      home: process.env["HOME"],
      mountsOf: (container) => findContainer(root, container).mounts,
    });
  } catch (error) {
    if (error instanceof SpecError) throw new UsageError(error.message, { cause: error });
    throw error;
  }
}

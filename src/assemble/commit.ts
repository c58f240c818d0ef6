import { join } from "node:path";
import { buildLayer } from "../store/archive/build-layer.js";
import { readState } from "../store/containers.js";
import type { DataRoot } from "../store/data-root.js";
import { applyChanges } from "../store/image-changes.js";
import { readConfig, storeImage } from "../store/images.js";
import type { ContainerRecord, ImageConfig, ImageRunConfig } from "../store/records.js";
import { makeTemporary } from "../store/temporary.js";
import { driverOf } from "./drivers/choose.js";
import { withMerged, withoutMounts } from "./merged.js";
import { whilePaused } from "./pause.js";
import type { UnionMounter } from "./union.js";

export interface CommitWish {
  readonly names: readonly string[];
  readonly message?: string;
  readonly author?: string;
  /** Instructions as in a Dockerfile. */
  readonly changes: readonly string[];
  /** The container's processes stand still while its layer is read. */
  readonly pause: boolean;
}

export interface CommittedImage {
  readonly id: string;
  /** What of the layer no image can have, one line each. */
  readonly warnings: readonly string[];
}

/**
 * Makes an image of a container: its writable layer becomes one more layer, complete in itself, whatever marks of renames and metacopies the
 * upper has. Throws StoreError, and leaves nothing then.
 */
export async function commitContainer(
  root: DataRoot,
  record: ContainerRecord,
  mounter: UnionMounter,
  wish: CommitWish,
): Promise<CommittedImage> {
  const below = readConfig(root, record.image.id);
  const run = applyChanges(runConfigOf(record, below.config), wish.changes);
  const temporary = await makeTemporary(root, "commit");
  try {
    const build = (merged: string) =>
      withoutMounts(merged, async (tree) =>
        buildLayer(join(temporary.path, "layer"), await driverOf(record).layer(root, record, tree), {}),
      );
    const layer = await withMerged(root, record, mounter, false, (merged, running) => {
      const { pid } = readState(root, record.id);
      return running && wish.pause && pid !== undefined ? whilePaused(pid, () => build(merged)) : build(merged);
    });
    const created = new Date().toISOString();
    const config: ImageConfig = {
      ...below,
      created,
      ...(wish.author === undefined ? {} : { author: wish.author }),
      config: run,
      rootfs: { type: "layers", diff_ids: [...below.rootfs.diff_ids, layer.record.diffId] },
      history: [
        ...(below.history ?? []),
        {
          created,
          created_by: record.process.args.join(" "),
          ...(wish.author === undefined ? {} : { author: wish.author }),
          ...(wish.message === undefined ? {} : { comment: wish.message }),
        },
      ],
    };
    const image = await storeImage(root, Buffer.from(JSON.stringify(config)), wish.names, { layers: [layer] });
    return { id: image.id, warnings: layer.warnings };
  } finally {
    temporary.dispose();
  }
}

/** What a container of the new image runs: what this one runs. */
function runConfigOf({ process, labels }: ContainerRecord, image: ImageRunConfig = {}): ImageRunConfig {
  const { args, entrypointLength, env, user, workingDirectory, stopSignal } = process;
  return {
    ...image,
    Env: env,
    Entrypoint: args.slice(0, entrypointLength),
    Cmd: args.slice(entrypointLength),
    User: user,
    WorkingDir: workingDirectory === "/" ? (image.WorkingDir ?? "") : workingDirectory,
    Labels: labels,
    ...(image.StopSignal === undefined && stopSignal === "SIGTERM" ? {} : { StopSignal: stopSignal }),
  };
}

import type { DataRoot } from "../../store/data-root.js";
import type { UnionMounter } from "../union.js";
import { checkContainers } from "./containers.js";
import type { Finding } from "./finding.js";
import { checkImages } from "./images.js";
import { checkTemporaries } from "./temporaries.js";
import { checkVolumes, checkVolumeUses } from "./volumes.js";

/**
 * Everything in the data root that is not as it should be, while others may be at work: what they have half done is locked, and is left out.
 * In the order in which it is to be mended. Throws StoreError if the root cannot be read.
 */
export async function checkRoot(root: DataRoot, mounter: UnionMounter): Promise<Finding[]> {
  return [
    ...(await checkTemporaries(root)),
    ...(await checkContainers(root, mounter)),
    ...(await checkVolumes(root)),
    ...(await checkVolumeUses(root)),
    ...(await checkImages(root)),
  ];
}

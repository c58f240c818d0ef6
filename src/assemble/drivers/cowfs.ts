import { errnoName } from "../../errno.js";
import { AT_FDCWD, O_RDWR } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { mayMount } from "../../native/process.js";
import { placesOf } from "../../store/containers.js";
import { unionOf } from "../union.js";
import type { StorageDriver } from "./driver.js";
import { markPlain } from "./plain-names.js";
import { upperFormat } from "./upper.js";

/** The project's own union file system, by a process for each container that runs. */
export const cowfsDriver: StorageDriver = {
  ...upperFormat,
  name: "cowfs",
  limitsSize: true,

  async lacking() {
    if (!mayMount()) return "needs root, to mount; that of a user namespace will do (unshare -Urm)";
    const fuse = native.open(AT_FDCWD, "/dev/fuse", O_RDWR, 0);
    if (fuse < 0) return `/dev/fuse cannot be opened (${errnoName(fuse)})`;
    native.close(fuse);
    return undefined;
  },

  takeOver(root, { id, driver }) {
    if (driver === "overlay2") markPlain(placesOf(root, id).upper);
  },

  async mount(root, container, mounter) {
    await mounter.mount(await unionOf(root, container));
  },
};

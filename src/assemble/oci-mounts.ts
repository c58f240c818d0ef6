import { release } from "node:os";
import type { PlannedMount } from "./plan.js";

/** An entry of `mounts` in an OCI runtime configuration. */
export interface OciMount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

/** Whether the kernel has mount_setattr(2), which makes a tree of mounts read-only. */
function canRecurse(kernel: string): boolean {
  const [major = 0, minor = 0] = kernel.split(".").map(Number);
  return major > 5 || (major === 5 && minor >= 12);
}

/**
 * Planned mounts for an OCI runtime, which makes them in the container's own mount namespace. Subpaths and images must have become plain
 * sources before.
 */
export function ociMounts(planned: readonly PlannedMount[], kernel: string = release()): OciMount[] {
  return planned.map((mount) => {
    const access = mount.readOnly ? "ro" : "rw";
    if (mount.kind === "tmpfs") {
      const options = [...mount.flags, access, ...mount.data, "rprivate"];
      return { destination: mount.target, type: "tmpfs", source: "tmpfs", options };
    }
    const recursively = mount.recursive && mount.readOnlyRecursive !== "no" && canRecurse(kernel);
    const options = [mount.recursive ? "rbind" : "bind", recursively ? "rro" : access, mount.propagation];
    return { destination: mount.target, type: "bind", source: mount.source, options };
  });
}

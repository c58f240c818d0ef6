import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { attempt, command } from "./command.js";
import { description, type Tree } from "./layers.js";
import { mountStack } from "./mounts.js";
import { mountInfo, requirePrivateNamespace } from "./namespace.js";
import { helper } from "./worker.js";

/**
 * Where a layer lives: on the disk (ext4); in memory, or on a small file system of its own in a file, of the size after the
 * colon; on an image that cannot be written; or in a union of an upper and an empty lower layer on the disk.
 */
export type Place =
  | "disk"
  | `${"tmpfs" | "ext4" | "xfs" | "btrfs"}:${string}`
  | "squashfs"
  | "erofs"
  | "overlay"
  | "cowfs";

const images = { squashfs: "mksquashfs", erofs: "mkfs.erofs" };

/** Why this kernel cannot offer a place, if so; file systems that are modules are loaded. */
export async function lacking(place: Place): Promise<string | undefined> {
  const [type = ""] = place.split(":");
  if (type === "disk" || type === "cowfs") {
    return undefined;
  }
  const known = (): boolean => new RegExp(`\\b${type}$`, "m").test(readFileSync("/proc/filesystems", "latin1"));
  if (!known()) {
    await attempt("modprobe", [type]).catch(() => undefined);
  }
  return known() ? undefined : `this kernel has no ${type}`;
}

/** The scratch directory of one test: everything it makes is below it, and all of it goes away. */
export class Area {
  readonly path: string;

  constructor() {
    requirePrivateNamespace();
    // /var/tmp rather than /tmp: a real disk, where /tmp may be in memory.
    this.path = mkdtempSync("/var/tmp/cowfs-test-");
    chmodSync(this.path, 0o755); // users take part in some tests
  }

  /** A path in the area, made absolute. */
  at(...names: string[]): string {
    return join(this.path, ...names);
  }

  /** A new directory, on a file system of its own where `place` says so. */
  async directory(name: string, place: Place = "disk"): Promise<string> {
    const path = this.at(name);
    mkdirSync(path, { recursive: true });
    const [type, size = "64M"] = place.split(":");
    if (type === "tmpfs") {
      await command("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", path]);
    } else if (type === "ext4" || type === "xfs" || type === "btrfs") {
      const image = this.at(`${name.replaceAll("/", "-")}.img`);
      await command("truncate", ["-s", size, image]);
      await command(`mkfs.${type}`, ["-q", image]);
      await command("mount", ["-o", "loop", image, path]);
      await attempt("rmdir", [join(path, "lost+found")]);
    } else if (type === "overlay" || type === "cowfs") {
      const [lower, upper, work] = ["lower", "upper", "work"].map((part) => `${path}.${part}`) as [
        string,
        string,
        string,
      ];
      for (const part of [lower, upper, work]) {
        mkdirSync(part);
      }
      // Passed through, its files would take new access times whenever a check reads them.
      await mountStack(type, { lowers: [lower], upper, work }, path, type === "cowfs" ? ["--io", "cached"] : []);
    } else if (type !== "disk") {
      throw new Error(`${place} can only be made with everything that is in it`);
    }
    return path;
  }

  /** A layer with its content. */
  async layer(name: string, place: Place, tree: Tree): Promise<string> {
    if (place !== "squashfs" && place !== "erofs") {
      const path = await this.directory(name, place);
      await this.build(path, tree);
      return path;
    }
    const path = await this.directory(name);
    const source = await this.directory(`${name}.source`);
    const image = this.at(`${name.replaceAll("/", "-")}.img`);
    await this.build(source, tree);
    await command(
      images[place],
      place === "squashfs" ? [source, image, "-quiet", "-no-progress"] : ["--quiet", image, source],
    );
    await helper().call("remove_tree", [source], 120_000);
    await command("mount", ["-o", "loop,ro", image, path]);
    return path;
  }

  /** Loop devices that still hold an image of the area. */
  private loops(): string[] {
    return readdirSync("/sys/block").filter((name) => {
      try {
        const image = readFileSync(`/sys/block/${name}/loop/backing_file`, "latin1");
        return name.startsWith("loop") && image.startsWith(`${this.path}/`);
      } catch {
        return false; // none, or one that has gone meanwhile
      }
    });
  }

  /** Takes away what `directory` mounted, before the test ends. */
  async unmountPlace(path: string): Promise<void> {
    await command("umount", [path]);
  }

  /** Fills a directory from a description. */
  async build(path: string, tree: Tree): Promise<void> {
    await helper().call("build", [path, description(tree)], 120_000);
  }

  /** Everything about a tree that must not change when it is a lower layer. */
  async exact(path: string): Promise<Record<string, string>> {
    const answer = await helper().call("snapshot", [path, "exact,marks,holes,dirtimes"], 120_000);
    return JSON.parse(answer.text) as Record<string, string>;
  }

  /** Processes that name the area on their command line or stand in it. */
  processes(): { pid: number; commandLine: string }[] {
    const found = [];
    for (const entry of readdirSync("/proc")) {
      if (!/^\d+$/.test(entry) || Number(entry) === process.pid) {
        continue;
      }
      try {
        const commandLine = readFileSync(`/proc/${entry}/cmdline`, "latin1").replaceAll("\0", " ").trim();
        if (commandLine.includes(this.path) || readlinkSync(`/proc/${entry}/cwd`).startsWith(this.path)) {
          found.push({ pid: Number(entry), commandLine });
        }
      } catch {
        // It ended meanwhile.
      }
    }
    return found;
  }

  /** Mounts below the area, the last one first. */
  mounts(): string[] {
    return mountInfo()
      .map((mount) => mount.mountpoint)
      .filter((path) => path.startsWith(`${this.path}/`))
      .reverse();
  }

  /** Takes everything away, the mounts that are its `own` first; the processes that are left are killed. Returns what a test should have ended itself. */
  async remove(own: readonly string[] = []): Promise<string[]> {
    const complaints = [];
    for (const mount of this.mounts().filter((path) => own.includes(path))) {
      await command("umount", [mount]).catch((error: unknown) => complaints.push(String(error)));
    }
    for (let waited = 0; own.length > 0 && this.processes().length > 0 && waited < 60_000; waited += 20) {
      await new Promise((resolve) => setTimeout(resolve, 20)); // a layer may have had a driver
    }
    for (const mount of this.mounts()) {
      if (!own.includes(mount)) {
        complaints.push(`still mounted: ${mount}`);
      }
    }
    for (const { pid, commandLine } of this.processes()) {
      complaints.push(`still running: ${pid} ${commandLine}`);
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It ended meanwhile.
      }
    }
    for (let waited = 0; this.loops().length > 0 && this.mounts().length === 0 && waited < 60_000; waited += 20) {
      await new Promise((resolve) => setTimeout(resolve, 20)); // they go with the last use of their file system
    }
    for (const loop of this.loops()) {
      complaints.push(`still attached: /dev/${loop}`);
    }
    for (const mount of this.mounts()) {
      await command("umount", ["-l", mount]).catch((error: unknown) => complaints.push(String(error)));
    }
    await helper()
      .call("remove_tree", [this.path], 120_000)
      .catch((error: unknown) => complaints.push(String(error)));
    return complaints;
  }
}

/** An area with two layers, `l1` and `l2`, of a file each, and a directory `m` to mount on. */
export function twoLayers(): Area {
  const area = new Area();
  for (const name of ["l1", "l2", "m"]) mkdirSync(area.at(name));
  writeFileSync(area.at("l1", "one"), "1");
  writeFileSync(area.at("l2", "two"), "2");
  return area;
}

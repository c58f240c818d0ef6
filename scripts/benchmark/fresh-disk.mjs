/** A file system that nobody used before: an ext4 with a journal, in a file, so that no removal of an earlier run is in what is measured. */
import { execFileSync, spawnSync } from "node:child_process";
import { closeSync, ftruncateSync, mkdirSync, openSync, rmSync } from "node:fs";
import { join } from "node:path";
import { run } from "./drivers.mjs";

/** Bytes, of which a run of all workloads uses a third. The file is sparse. */
const size = 16 * 2 ** 30;

/**
 * Makes one in the directory `base` and mounts it, through a loop device that reads and writes the disk past the page cache. Returns its mountpoint and what takes it
 * away again. The device is given back with its last mount, however the benchmark ends.
 */
export function freshDisk(base) {
  const [file, mountpoint] = [join(base, "disk"), join(base, "fresh")];
  mkdirSync(mountpoint);
  const fd = openSync(file, "w");
  ftruncateSync(fd, size);
  closeSync(fd);
  run("mkfs.ext4", ["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", file]);
  run("mount", ["-o", "loop", file, mountpoint]);
  const remove = () => {
    spawnSync("umount", ["--lazy", mountpoint]);
    rmSync(file);
  };
  try {
    const device = execFileSync("findmnt", ["-no", "SOURCE", mountpoint]).toString().trim();
    run("losetup", ["--direct-io=on", device]);
  } catch (error) {
    // Who called knows of no mount, and removes the directory.
    remove();
    throw error;
  }
  return { mountpoint, remove };
}

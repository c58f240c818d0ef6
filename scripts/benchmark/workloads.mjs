/**
 * What is measured. `bar`: part of the bar that cowfs must be faster than fuse-overlayfs. `files`: what messages are
 * divided by. `prepare` is not measured; `measure` returns milliseconds. Both get a Place.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { bigFileMiB } from "./layers.mjs";

export const archiveFiles = 3000;
const statFiles = 10_000;
const lsFiles = 5000;

const untar = (p) => p.shell(`mkdir -p fresh && tar -xf '${p.archive}' -C fresh`);
const removeFresh = (p) => p.shell("rm -rf fresh");

export const workloads = [
  { name: "mount", title: "mount until it answers", skip: ["native"], measure: (p) => p.remount() },
  {
    name: "find-cold",
    title: "find, cold caches",
    bar: true,
    files: (p) => p.fileCount,
    prepare: (p) => p.cool(),
    measure: (p) => p.shell("find . > /dev/null"),
  },
  {
    name: "stat-warm",
    title: "stat of 10,000 files, warm",
    bar: true,
    files: () => statFiles,
    prepare: (p) => p.client("stat", p.root, p.list, statFiles),
    measure: (p) => p.client("stat", p.root, p.list, statFiles),
  },
  {
    name: "stat-first",
    title: "stat of 10,000 files, first time in this mount",
    files: () => statFiles,
    measure: (p) => p.client("stat", p.root, p.list, statFiles),
  },
  {
    name: "untar",
    title: "untar of 3,000 files",
    bar: true,
    files: () => archiveFiles,
    measure: untar,
    clean: removeFresh,
  },
  {
    name: "rm",
    title: "rm -rf of them",
    bar: true,
    files: () => archiveFiles,
    prepare: untar,
    measure: removeFresh,
  },
  {
    name: "ls",
    title: "ls -l of 5,000 files",
    bar: true,
    files: () => lsFiles,
    measure: (p) => p.shell("ls -l small > /dev/null"),
  },
  {
    name: "ls-again",
    title: "ls -l of them, again",
    files: () => lsFiles,
    prepare: (p) => p.shell("ls -l small > /dev/null"),
    measure: (p) => p.shell("ls -l small > /dev/null"),
  },
  {
    name: "grep",
    title: "grep -r, warm",
    bar: true,
    files: (p) => p.countBelow("python/"),
    prepare: (p) => p.shell("grep -r no-such-text python || true"),
    measure: (p) => p.shell("grep -r no-such-text python || true"),
  },
  {
    name: "read-small",
    title: "open, read, close of 5,000 files, first time",
    files: () => lsFiles,
    measure: (p) => p.client("smallRead", p.root, p.list, lsFiles),
  },
  {
    name: "missing",
    title: "stat of 10,000 names that do not exist",
    files: () => statFiles,
    measure: (p) => p.client("missing", p.root, p.list, statFiles),
  },
  {
    name: "write-seq",
    title: `sequential write, ${bigFileMiB} MiB`,
    measure: (p) => p.shell(`dd if=/dev/zero of=written bs=128k count=${bigFileMiB * 8} status=none`),
    clean: (p) => p.shell("rm -f written"),
  },
  {
    name: "read-seq",
    title: `sequential read, ${bigFileMiB} MiB, first time`,
    measure: (p) => p.shell("dd if=big of=/dev/null bs=128k status=none"),
  },
  {
    name: "write-random",
    title: "random write, 8,000 × 4 KiB",
    files: () => 8000,
    prepare: (p) => p.shell("dd if=/dev/zero of=written bs=1M count=64 status=none"),
    measure: (p) => p.client("randomWrite", join(p.root, "written"), 8000),
    clean: (p) => p.shell("rm -f written"),
  },
  {
    name: "read-random",
    title: "random read, 8,000 × 4 KiB",
    files: () => 8000,
    prepare: (p) => p.shell("dd if=/dev/zero of=written bs=1M count=64 status=none"),
    measure: (p) => p.client("randomRead", join(p.root, "written"), 8000),
    clean: (p) => p.shell("rm -f written"),
  },
  {
    name: "compile",
    title: "compile of 30 C files",
    needs: "/usr/bin/cc",
    prepare: (p) => p.shell("mkdir objects"),
    measure: (p) => {
      const include = '-isystem "$PWD/include" -isystem "$PWD/include/x86_64-linux-gnu"';
      return p.shell(`ls src/*.c | xargs -P 2 -I% sh -c 'cc -O1 ${include} -c % -o objects/$(basename %).o'`);
    },
    clean: (p) => p.shell("rm -rf objects"),
  },
  {
    name: "cp",
    title: "cp -a of lower files",
    files: (p) => p.countBelow("npm/"),
    measure: (p) => p.shell("cp -a npm copied"),
    clean: (p) => p.shell("rm -rf copied"),
  },
  {
    name: "chmod",
    title: "chmod -R of lower files",
    files: (p) => p.countBelow("npm/"),
    measure: (p) => p.shell("chmod -R g+w,o-x npm"),
    clean: (p) => p.shell("chmod -R g-w,o+x npm"),
  },
  {
    name: "sqlite",
    title: "sqlite, 300 commits",
    needs: "/usr/bin/sqlite3",
    files: () => 300,
    measure: (p) => {
      const insert = "seq 300 | sed 's/.*/insert into t values(&);/'";
      return p.shell(`{ echo 'create table t(a);'; ${insert}; } | sqlite3 database`);
    },
    clean: (p) => p.shell("rm -f database"),
  },
].filter(({ needs }) => needs === undefined || existsSync(needs));

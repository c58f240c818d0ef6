import { spawn } from "node:child_process";
import { isatty } from "node:tty";
import { type CopyPlace, type CopySource, copyTo, hostPlace, openDirectory, openSource } from "../../assemble/copy.js";
import { withMerged } from "../../assemble/merged.js";
import { endOf } from "../../assemble/process.js";
import { bytes, RootView } from "../../assemble/root-view.js";
import { needTool } from "../../assemble/runtime.js";
import { errnoName } from "../../errno.js";
import { STATX_ALL, Stat } from "../../layer/stat.js";
import { O_DIRECTORY, O_PATH } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { findContainer } from "../../store/containers.js";
import { copyObject, type MergeOptions } from "../../store/copy-tree.js";
import type { DataRoot } from "../../store/data-root.js";
import { StoreError } from "../../store/error.js";
import { interruption } from "../../store/interruption.js";
import type { ContainerRecord } from "../../store/records.js";
import { makeTemporary } from "../../store/temporary.js";
import { shown } from "../../text.js";
import { CommandError, UsageError } from "../exit.js";
import { daemonMounter } from "./mounter.js";

export interface CopyWords {
  /** Owners are kept. */
  readonly archive?: boolean;
  readonly followLink?: boolean;
}

/** `CONTAINER:PATH`, a path of the host, or `-`. A path with a colon is the host's if a slash comes before that. */
function parseEnd(word: string): { container?: string; path: string } {
  const colon = word.indexOf(":");
  if (colon <= 0 || word.slice(0, colon).includes("/") || word.startsWith(".")) return { path: word };
  return { container: word.slice(0, colon), path: word.slice(colon + 1) };
}

/** In a container a path begins at the root, whatever it says. */
function containerPath(path: string): string {
  return bytes(path.startsWith("/") ? path : `/${path}`);
}

function hostPath(path: string): string {
  return bytes(path.startsWith("/") ? path : `${process.cwd()}/${path}`);
}

/** `cowfs cp`. Returns the exit code. */
export async function copyCommand(root: DataRoot, from: string, to: string, words: CopyWords): Promise<number> {
  const source = parseEnd(from);
  const target = parseEnd(to);
  if ((source.container === undefined) === (target.container === undefined)) {
    throw new UsageError("copy between a container and the host: write one of the paths as CONTAINER:PATH");
  }
  if (source.path === "" || target.path === "")
    throw new UsageError("a path of the copy is empty: the root is CONTAINER:/");
  const record = findContainer(root, source.container ?? target.container ?? "");
  const toContainer = target.container !== undefined;
  await withMerged(root, record, daemonMounter, true, async (merged) => {
    const view = new RootView(merged);
    const place: CopyPlace = {
      open: (path, flags) => view.openBytes(path, flags),
      name: (path) => `${record.name}:${shown(path)}`,
      mustBeWritable: (directory) => mustBeWritable(record, view, directory),
    };
    try {
      if (toContainer) await copyIn(root, place, source.path, containerPath(target.path), words);
      else await copyOut(root, place, containerPath(source.path), target.path, words);
    } finally {
      view.close();
    }
  });
  return 0;
}

/** What is read-only for the container's processes is so for this, too: the root itself. What is mounted over it says for itself. */
function mustBeWritable({ name, readOnly }: ContainerRecord, view: RootView, directory: number): void {
  if (!readOnly) return;
  const root = view.stat("/");
  const there = new Stat();
  const looked = native.statx(directory, "", STATX_ALL, there.bytes);
  if (looked < 0) throw new StoreError(`the target of the copy cannot be looked at: ${errnoName(looked)}`);
  if (root?.devMajor === there.devMajor && root.devMinor === there.devMinor) {
    throw new StoreError(`the root of container ${name} is read-only`);
  }
}

async function copyIn(root: DataRoot, place: CopyPlace, from: string, to: string, words: CopyWords): Promise<void> {
  if (from === "-") return await unpack(root, place, to);
  const source = openSource(hostPlace, hostPath(from), words.followLink === true);
  try {
    // Whatever is copied into a container is root's there.
    await copyTo(place, to, source, words.archive === true ? {} : { owner: { uid: 0, gid: 0 } });
  } finally {
    native.close(source.fd);
  }
}

async function copyOut(root: DataRoot, place: CopyPlace, from: string, to: string, words: CopyWords): Promise<void> {
  const source = openSource(place, from, words.followLink === true);
  try {
    if (to === "-") await pack(root, source);
    else await copyTo(hostPlace, hostPath(to), source, optionsOutside(words));
  } finally {
    native.close(source.fd);
  }
}

function optionsOutside({ archive }: CopyWords): MergeOptions {
  const uid = process.geteuid?.() ?? 0;
  const gid = process.getegid?.() ?? 0;
  return archive === true ? {} : { owner: { uid, gid } };
}

const tarOptions = ["--numeric-owner", "--xattrs", "--xattrs-include=user.*", "--xattrs-include=security.capability"];

function runTar(args: readonly string[], stdin: "inherit" | "ignore", fd: number): Promise<void> {
  const child = spawn(needTool("tar", "tar"), [...tarOptions, ...args], {
    stdio: [stdin, "inherit", "inherit", fd],
    signal: interruption,
  });
  return endOf(child).then((code) => {
    if (code !== 0) throw new CommandError(`tar ended with exit code ${code}`);
  });
}

/** Writes an object to stdout as a tar archive, under its own name. */
async function pack(root: DataRoot, source: CopySource): Promise<void> {
  if (isatty(1)) throw new UsageError("an archive is not for a terminal: send it to a file or another program");
  const name = shown(source.name);
  if (source.isDirectory) {
    const called = name.replace(/[\\&,]/g, "\\$&");
    const transform = source.contents ? [] : ["--transform", `flags=rh;s,^\\.,${called},`];
    return await runTar([...transform, "-C", "/proc/self/fd/3", "-cf", "-", "."], "ignore", source.fd);
  }
  const temporary = await makeTemporary(root, "copy");
  const directory = native.openFollow(bytes(temporary.path), O_PATH | O_DIRECTORY);
  try {
    await copyObject(source.fd, "", directory, source.name, {});
    await runTar(["-C", "/proc/self/fd/3", "-cf", "-", "--", name], "ignore", directory);
  } finally {
    native.close(directory);
    temporary.dispose();
  }
}

/**
 * Unpacks an archive from stdin into a directory of the container. It goes through a directory of its own: tar(1) would follow symbolic links of
 * the container to places of the host.
 */
async function unpack(root: DataRoot, place: CopyPlace, to: string): Promise<void> {
  const target = openDirectory(place, to);
  const temporary = await makeTemporary(root, "copy");
  const directory = native.openFollow(bytes(temporary.path), O_PATH | O_DIRECTORY);
  try {
    await runTar(["-C", "/proc/self/fd/3", "--same-owner", "-xpf", "-"], "inherit", directory);
    await copyObject(directory, "", target, "", {});
  } finally {
    native.close(directory);
    native.close(target);
    temporary.dispose();
  }
}

import { readlinkSync } from "node:fs";
import { join } from "node:path";
import { O_PATH } from "../native/constants.js";
import { native } from "../native/index.js";
import { readMounts } from "../native/mountinfo.js";
import { shown } from "../text.js";
import { capabilities, isBelowDefaults, type Launch, readIfAny, readonlyPaths } from "./bundle.js";
import { RootView } from "./root-view.js";
import { bundleFiles, findTool, needTool, quoted } from "./runtime.js";

/**
 * The script that unshare(1) runs as the first process of new namespaces, where no OCI runtime is there or works: it makes the same mounts,
 * makes the merged view the root, and becomes the container's program. It follows no symbolic link of the image: where mounts go has been
 * resolved before.
 */
export function enterScript(launch: Launch, bundle: string, homes: readonly string[]): string {
  const { process: spec, record, rootfs } = launch;
  const files = bundleFiles(bundle);
  const mount = needTool("mount", "mount");
  const view = new RootView(rootfs);
  const resolved = new Map<string, string>();
  /** Where a path of the container is on the host. What lies in a file system that the script mounts is there by its own name. */
  const hostPath = (path: string): string => {
    const outer = ["/dev", "/proc", "/sys"].find((one) => path.startsWith(`${one}/`));
    if (outer !== undefined) return `${hostPath(outer)}${path.slice(outer.length)}`;
    let host = resolved.get(path);
    if (host === undefined) {
      host = realPath(view, path, rootfs);
      resolved.set(path, host);
    }
    return host;
  };
  const lines = [
    "set -e",
    // As the host's /proc numbers this process.
    "read -r stat </proc/self/stat",
    "set -- $stat",
    // The 22nd field is when it began.
    `echo "$1 \${22}" >${quoted(`${files.pid}.new`)}`,
    `mv ${quoted(`${files.pid}.new`)} ${quoted(files.pid)}`,
    // Otherwise they would live as long as this namespace.
    ...otherMounts(homes, rootfs).map((path) => `umount -l ${quoted(path)} 2>/dev/null || :`),
    // In a user namespace the file is somebody else's.
    `{ echo ${quoted(record.hostname)} >/proc/sys/kernel/hostname; } 2>/dev/null || hostname ${quoted(record.hostname)}`,
    ...(record.network === "none" ? [`${findTool("ip") ?? ":"} link set lo up`] : []),
  ];
  try {
    for (const one of launch.mounts) {
      const target = hostPath(one.destination);
      if (isBelowDefaults(one.destination) && one.destination.lastIndexOf("/") > 0) {
        const outer = one.destination.slice(0, one.destination.indexOf("/", 1));
        lines.push(...linkLines(hostPath(outer), one.destination.slice(outer.length + 1)));
        lines.push(`mkdir -p ${quoted(one.type === "bind" ? target.replace(/\/[^/]*$/, "") : target)}`);
        if (one.type === "bind")
          lines.push(`[ -d ${quoted(one.source)} ] && mkdir -p ${quoted(target)} || : >>${quoted(target)}`);
      }
      if (one.destination === "/dev/pts" && spec.terminal) {
        // The terminal is one of the host's.
        lines.push(`${mount} --rbind /dev/pts ${quoted(target)}`);
      } else lines.push(...mountLines(mount, one, target));
      if (one.destination === "/dev") lines.push(...deviceLines(mount, target));
    }
    for (const path of readonlyPaths) {
      const target = quoted(hostPath(path));
      lines.push(
        `[ ! -e ${target} ] || { ${mount} --bind ${target} ${target} && ${mount} -o remount,bind,ro ${target}; }`,
      );
    }
    if (record.readOnly) lines.push(`${mount} -o remount,bind,ro ${quoted(rootfs)}`);
  } finally {
    view.close();
  }
  lines.push(
    `cd ${quoted(rootfs)}`,
    `${mount} --move . /`,
    `: >${quoted(files.started)}`,
    `exec ${enterCommand(launch)}`,
  );
  return `${lines.join("\n")}\n`;
}

/** Programs of the host, which find the container's program once they are in its root. */
function enterCommand({ process: { env, user, args, cwd } }: Launch): string {
  // Where setgroups(2) is denied, in the user namespace of somebody who is not root, the groups stay what they are.
  const groups =
    readIfAny("/proc/self/setgroups")?.trim() === "deny"
      ? ["--keep-groups"]
      : user.additionalGids.length === 0
        ? ["--clear-groups"]
        : [`--groups=${user.additionalGids.join(",")}`];
  const bounding = ["-all", ...capabilities.map((name) => `+${name.slice("CAP_".length).toLowerCase()}`)].join(",");
  return [
    ...[needTool("env", "coreutils"), "-i", ...env],
    ...[
      needTool("setpriv", "util-linux"),
      `--regid=${user.gid}`,
      ...groups,
      `--bounding-set=${bounding}`,
      "--inh-caps=-all",
    ],
    ...[needTool("unshare", "util-linux"), "--root=.", `--wd=${cwd}`],
    ...(user.uid === 0 ? [] : [`--setuid=${user.uid}`]),
    ...["--", ...args],
  ]
    .map(quoted)
    .join(" ");
}

/**
 * Ends the script where a name of a path in a directory is a symbolic link: what the container has left in a volume, or /proc/self/root, would
 * lead to the host, where directories would be made.
 */
function linkLines(directory: string, path: string): string[] {
  const names = path.split("/");
  return names.map((_, index) => {
    const prefix = quoted(join(directory, ...names.slice(0, index + 1)));
    return `[ ! -L ${prefix} ] || { echo "cowfs: a mount cannot lead through a symbolic link:" ${prefix} >&2; exit 1; }`;
  });
}

function mountLines(mount: string, one: Launch["mounts"][number], target: string): string[] {
  if (one.type !== "bind") {
    return [
      `${mount} -t ${quoted(one.type)} -o ${quoted(one.options.join(","))} ${quoted(one.source)} ${quoted(target)}`,
    ];
  }
  const how = one.options.includes("rbind") ? "--rbind" : "--bind";
  const propagation = one.options.find((option) => /^r?(private|slave|shared)$/.test(option));
  const flags = one.options.filter((option) => /^(ro|nosuid|nodev|noexec)$/.test(option));
  return [
    `${mount} ${how} ${quoted(one.source)} ${quoted(target)}`,
    ...(propagation === undefined ? [] : [`${mount} --make-${propagation} ${quoted(target)}`]),
    ...(flags.length === 0 ? [] : [`${mount} -o remount,bind,${flags.join(",")} ${quoted(target)}`]),
  ];
}

const devices = { null: 3, zero: 5, full: 7, random: 8, urandom: 9 };

function deviceLines(mount: string, dev: string): string[] {
  const node = (name: string, major: number, minor: number): string => {
    const path = quoted(join(dev, name));
    return `mknod -m 666 ${path} c ${major} ${minor} 2>/dev/null || { : >${path}; ${mount} --bind /dev/${name} ${path}; }`;
  };
  const links = {
    fd: "/proc/self/fd",
    stdin: "/proc/self/fd/0",
    stdout: "/proc/self/fd/1",
    stderr: "/proc/self/fd/2",
    ptmx: "pts/ptmx",
  };
  return [
    ...Object.entries(devices).map(([name, minor]) => node(name, 1, minor)),
    node("tty", 5, 0),
    ...Object.entries(links).map(([name, target]) => `ln -s ${target} ${quoted(join(dev, name))}`),
  ];
}

/** Where the kernel says an existing path of the container is; made by the union's lowest layer, it is always there but for odd images. */
function realPath(view: RootView, path: string, rootfs: string): string {
  let fd = view.open(path, O_PATH);
  if (fd < 0) {
    view.makeDirectory(path);
    fd = view.open(path, O_PATH);
  }
  try {
    return fd < 0 ? join(rootfs, path) : readlinkSync(`/proc/self/fd/${fd}`);
  } finally {
    native.close(fd);
  }
}

/** The mounts of other containers and builds, which lie below `homes`. */
function otherMounts(homes: readonly string[], rootfs: string): string[] {
  return readMounts()
    .map(({ mountpoint }) => shown(mountpoint))
    .filter((path) => homes.some((home) => path.startsWith(`${home}/`)))
    .filter((path) => path !== rootfs && !path.startsWith(`${rootfs}/`))
    .reverse();
}

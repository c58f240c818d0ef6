import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inUserNamespace } from "../native/process.js";
import type { ContainerRecord } from "../store/records.js";
import type { OciMount } from "./oci-mounts.js";
import { defaultPath } from "./program.js";
import type { ResolvedUser } from "./users.js";

/** What Docker leaves root in a container. */
export const capabilities = [
  ...["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID"],
  ...["CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL"],
  "CAP_AUDIT_WRITE",
];

const maskedPaths = [
  ...["/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list"],
  ...["/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"],
];
export const readonlyPaths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/** A process for a runtime: the `process` of a bundle, and what `exec` takes. */
export interface ProcessSpec {
  readonly terminal: boolean;
  readonly user: { readonly uid: number; readonly gid: number; readonly additionalGids: readonly number[] };
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
}

/** What a container needs to become processes. */
export interface Launch {
  readonly record: ContainerRecord;
  readonly process: ProcessSpec;
  /** The merged view, with volumes and binds in place. */
  readonly rootfs: string;
  /** All mounts that the runtime makes over it, in order. */
  readonly mounts: readonly OciMount[];
}

export function processSpec(
  user: ResolvedUser,
  wanted: { args: readonly string[]; env: readonly string[]; cwd: string; terminal: boolean; hostname: string },
): ProcessSpec {
  const has = (name: string): boolean => wanted.env.some((one) => one.startsWith(`${name}=`));
  const added = [
    ...(has("PATH") ? [] : [`PATH=${defaultPath}`]),
    ...(has("HOSTNAME") ? [] : [`HOSTNAME=${wanted.hostname}`]),
    ...(has("TERM") || !wanted.terminal ? [] : ["TERM=xterm"]),
  ];
  return {
    terminal: wanted.terminal,
    user: { uid: user.uid, gid: user.gid, additionalGids: user.groups },
    args: wanted.args,
    env: [...added, ...wanted.env, ...(has("HOME") ? [] : [`HOME=${user.home}`])],
    cwd: wanted.cwd,
  };
}

/** As OCI runtimes take a process: also the file of `exec --process`. */
export function ociProcess(spec: ProcessSpec): object {
  const { uid } = spec.user;
  return {
    ...spec,
    capabilities: {
      bounding: capabilities,
      // As exec(2) gives them to root, and takes them from everybody else.
      effective: uid === 0 ? capabilities : [],
      permitted: uid === 0 ? capabilities : [],
    },
    noNewPrivileges: false,
  };
}

/** What users expect to find: the kernel's file systems, and the network's files in /etc. */
export function defaultMounts(bundle: string, userNamespace = inUserNamespace()): OciMount[] {
  const mount = (destination: string, type: string, source: string, options: string[]): OciMount => ({
    destination,
    type,
    source,
    options,
  });
  // Only who owns the network namespace may mount a sysfs, and it is the host's.
  const sys = userNamespace
    ? mount("/sys", "bind", "/sys", ["rbind", "nosuid", "noexec", "nodev", "ro"])
    : mount("/sys", "sysfs", "sysfs", ["nosuid", "noexec", "nodev", "ro"]);
  const group = userNamespace ? [] : ["gid=5"];
  return [
    mount("/proc", "proc", "proc", ["nosuid", "noexec", "nodev"]),
    mount("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
    mount("/dev/pts", "devpts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", ...group]),
    sys,
    mount("/dev/mqueue", "mqueue", "mqueue", ["nosuid", "noexec", "nodev"]),
    mount("/dev/shm", "tmpfs", "shm", ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
    ...["resolv.conf", "hostname", "hosts"].map((name) =>
      mount(`/etc/${name}`, "bind", join(bundle, name), ["rbind", "rprivate"]),
    ),
  ];
}

/** Where the init of `--init` is in the container. */
export const initPath = "/dev/init";

export function initMount(program: string): OciMount {
  return { destination: initPath, type: "bind", source: program, options: ["rbind", "rprivate", "ro"] };
}

/** Whether a mount lies where the runtime mounts something itself, and so must come after that. */
export function isBelowDefaults(target: string): boolean {
  return /^\/(proc|dev|sys)(\/|$)/.test(target);
}

export function readIfAny(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/** Writes what `defaultMounts` binds: the network is the host's, and so are its servers and names. */
export function writeNetworkFiles(bundle: string, hostname: string): void {
  const hosts = readIfAny("/etc/hosts") || "127.0.0.1\tlocalhost\n::1\tlocalhost\n";
  const end = hosts.endsWith("\n") ? "" : "\n";
  writeFileSync(join(bundle, "resolv.conf"), readIfAny("/etc/resolv.conf") ?? "", { mode: 0o644 });
  writeFileSync(join(bundle, "hostname"), `${hostname}\n`, { mode: 0o644 });
  writeFileSync(join(bundle, "hosts"), `${hosts}${end}127.0.0.1\t${hostname}\n`, { mode: 0o644 });
}

/** The configuration of an OCI bundle. What is not said stays as it is. */
export function bundleConfig({ record, process, rootfs, mounts }: Launch): object {
  const shared = record.mounts.map(({ propagation }) => propagation ?? "rprivate");
  // Mounts reach the container, or the host, only if its root lets them through.
  const rootfsPropagation = shared.some((one) => /shared/.test(one))
    ? "shared"
    : shared.some((one) => /slave/.test(one))
      ? "rslave"
      : "rprivate";
  return {
    ociVersion: "1.0.2",
    process: ociProcess(process),
    root: { path: rootfs, readonly: record.readOnly },
    hostname: record.hostname,
    mounts,
    linux: {
      // A new network has a loopback, which the runtime brings up.
      namespaces: ["pid", "ipc", "uts", "mount", ...(record.network === "none" ? ["network"] : [])].map((type) => ({
        type,
      })),
      rootfsPropagation,
      maskedPaths,
      readonlyPaths,
    },
  };
}

import { accessSync, constants, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { StoreError } from "../store/error.js";

/** What makes processes of a bundle: an OCI runtime (crun, runc and their like), or util-linux's unshare(1) with a script of ours. */
export interface Runtime {
  readonly kind: "oci" | "unshare";
  /** A path. */
  readonly program: string;
}

/** A program with its arguments. */
export interface CommandLine {
  readonly program: string;
  readonly args: readonly string[];
}

/** Where programs of the host are, whatever PATH a user has. */
const directories = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/** The path of a program of the host, or undefined. */
export function findTool(name: string): string | undefined {
  const path = (process.env["PATH"] ?? "").split(":").filter((directory) => directory.startsWith("/"));
  return [...path, ...directories].map((directory) => join(directory, name)).find(isProgram);
}

/** As `findTool`. Throws StoreError that names the Debian package. */
export function needTool(name: string, debianPackage: string): string {
  const path = findTool(name);
  if (path === undefined) throw new StoreError(`the program ${name} is missing: install ${debianPackage}`);
  return path;
}

/** Programs that are made to be the first process of a container. They must need no library. */
const inits = ["catatonit", "docker-init", "tini-static"];

/** The path of one, for `--init`. Throws StoreError that names the Debian package. */
export function needInit(): string {
  const found = [...inits.map(findTool), "/usr/libexec/podman/catatonit"].find(
    (path) => path !== undefined && isProgram(path),
  );
  if (found === undefined) throw new StoreError("--init needs a small init of the host: install catatonit");
  return found;
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** Where both kinds of cgroups are in use, crun refuses to work, whatever it is told about them. */
function isHybrid(): boolean {
  try {
    return readFileSync("/sys/fs/cgroup/unified/cgroup.controllers", "latin1").trim() !== "";
  } catch {
    return false;
  }
}

/**
 * The runtimes that `--runtime` stands for, to be tried in this order. `auto`: crun, runc, unshare, whichever are there. Throws StoreError.
 */
export function runtimesFor(word: string): Runtime[] {
  if (word === "auto") {
    const names = isHybrid() ? ["runc"] : ["crun", "runc"];
    const found = names.map(findTool).filter((path) => path !== undefined);
    return [...found.map((program): Runtime => ({ kind: "oci", program })), unshareRuntime()];
  }
  if (word === "unshare") return [unshareRuntime()];
  const program = word.includes("/") ? resolve(word) : findTool(word);
  if (program === undefined || !isProgram(program)) {
    throw new StoreError(
      `the runtime ${word} is not there: install it, or use --runtime auto, crun, runc, unshare or a path`,
    );
  }
  return [{ kind: "oci", program }];
}

function unshareRuntime(): Runtime {
  return { kind: "unshare", program: needTool("unshare", "util-linux") };
}

/** The runtime that a state names. */
export function runtimeOf(recorded: string): Runtime {
  return recorded === "unshare" ? unshareRuntime() : { kind: "oci", program: recorded };
}

/** How a state names a runtime. */
export function runtimeName(runtime: Runtime): string {
  return runtime.kind === "unshare" ? "unshare" : runtime.program;
}

/** Files of a bundle. */
export function bundleFiles(bundle: string) {
  const at = (name: string): string => join(bundle, name);
  return {
    config: at("config.json"),
    /** The id of the first process, as the host numbers it. */
    pid: at("pid"),
    /** Made when the script of `unshare` is through. */
    started: at("started"),
    /** What an OCI runtime complains of. */
    log: at("runtime.log"),
    /** Which runtime has been asked to run it. */
    asked: at("runtime.name"),
    script: at("enter.sh"),
    /** Where an OCI runtime keeps its own records. */
    runtime: at("runtime"),
  };
}

/**
 * Options that all commands of an OCI runtime get. Cgroups are not made: limits are not our job, and they may not be writable here; runc
 * knows no option for that.
 */
function globalOptions(runtime: Runtime, bundle: string, log = bundleFiles(bundle).log): string[] {
  const { runtime: state } = bundleFiles(bundle);
  const cgroups = /(^|\/)crun[^/]*$/.test(runtime.program) ? ["--cgroup-manager=disabled"] : [];
  return ["--root", state, "--log", log, "--log-format", "json", ...cgroups];
}

/** Runs a bundle, in the foreground, to its end. An OCI runtime finds in it whether the container has a network of its own. */
export function runCommand(runtime: Runtime, bundle: string, id: string, ownNetwork: boolean): CommandLine {
  const { pid, script } = bundleFiles(bundle);
  if (runtime.kind === "unshare") {
    // The first child of what it executes is the first process of the new namespace. unshare --fork cannot tell that SIGKILL ended it, and
    // a shell says such things on stderr.
    const outer = 'exec 3>&2 2>/dev/null; /bin/sh "$1" 2>&3 3>&-; exit $?';
    const network = ownNetwork ? ["--net"] : [];
    const namespaces = ["--mount", "--pid", "--ipc", "--uts", ...network, "--propagation", "slave"];
    return { program: runtime.program, args: [...namespaces, "--", "/bin/sh", "-c", outer, "sh", script] };
  }
  const options = globalOptions(runtime, bundle);
  return { program: runtime.program, args: [...options, "run", "--bundle", bundle, "--pid-file", pid, id] };
}

/** Removes what an OCI runtime keeps of a container that has ended. */
export function deleteCommand(runtime: Runtime, bundle: string, id: string): CommandLine {
  return { program: runtime.program, args: [...globalOptions(runtime, bundle), "delete", "--force", id] };
}

/** Runs another process, described by a file, in a container; what goes wrong is written to `log`. */
export function execCommand(
  runtime: Runtime,
  bundle: string,
  id: string,
  processFile: string,
  log: string,
): CommandLine {
  const options = globalOptions(runtime, bundle, log);
  return { program: runtime.program, args: [...options, "exec", "--process", processFile, id] };
}

/** A word for sh(1). */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** The same command on a terminal of its own, whose output is copied to stdout. It must not see the end of its stdin. */
export function onTerminal({ program, args }: CommandLine): CommandLine {
  const line = ["exec", program, ...args].map(quoted).join(" ");
  // It has the user's shell run the line, which is written for another.
  const script = [needTool("script", "bsdutils"), "-q", "-e", "-f", "-c", line, "/dev/null"];
  return { program: needTool("env", "coreutils"), args: ["SHELL=/bin/sh", ...script] };
}

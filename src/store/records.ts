/**
 * What lies on disk in the data root: the JSON records, as they are written. Each has `schema`, so that a later program can tell; readers
 * check what they rely on, and name the file if it is damaged. Digests are `sha256:HEX`, times are ISO 8601 in UTC, sizes are bytes.
 */

/** `layers/HEX/layer.json`. Beside it: `tree/`, the layer as kernel overlayfs and cowfs read it. */
export interface LayerRecord {
  readonly schema: 1;
  /** Of the uncompressed tar archive: its name in configurations of images, and of its directory. */
  readonly diffId: string;
  /** The length of that archive. */
  readonly archiveSize: number;
  /** The sum of the sizes of its regular files, each hard-linked file once. */
  readonly size: number;
  /** The number of its objects, directories too. */
  readonly entries: number;
  readonly created: string;
  /** Its root hides everything below it: a mount takes no layers below this one. */
  readonly opaqueRoot?: boolean;
}

/** `images/HEX/image.json`. Beside it: `config.json`, the bytes of the image's configuration, whose SHA-256 is its id. */
export interface ImageRecord {
  readonly schema: 1;
  readonly id: string;
  /** The layers, the lowest first: `rootfs.diff_ids` of the configuration. */
  readonly layers: readonly string[];
  /** When it came into this data root. */
  readonly stored: string;
}

/** `images/names.json`: what a name with a tag (`docker.io`-style references are not expanded) stands for. */
export interface ImageNames {
  readonly schema: 1;
  /** `name:tag` → image id. */
  readonly names: Readonly<Record<string, string>>;
}

/** The part of an OCI image configuration that cowfs reads; the rest is kept as it is. */
export interface ImageConfig {
  readonly created?: string;
  readonly author?: string;
  readonly architecture: string;
  readonly os: string;
  readonly config?: ImageRunConfig;
  readonly rootfs: { readonly type: "layers"; readonly diff_ids: readonly string[] };
  readonly history?: readonly ImageHistory[];
}

/** What a container of the image runs if nobody says otherwise. */
export interface ImageRunConfig {
  readonly User?: string;
  readonly ExposedPorts?: Readonly<Record<string, object>>;
  readonly Env?: readonly string[];
  readonly Entrypoint?: readonly string[] | null;
  readonly Cmd?: readonly string[] | null;
  readonly Volumes?: Readonly<Record<string, object>> | null;
  readonly WorkingDir?: string;
  readonly Labels?: Readonly<Record<string, string>> | null;
  readonly StopSignal?: string;
  readonly Shell?: readonly string[] | null;
  /** Docker's own: instructions for who builds on the image, and how to tell whether its program works. */
  readonly OnBuild?: readonly string[] | null;
  readonly Healthcheck?: HealthCheck | null;
}

/** Times are nanoseconds. */
export interface HealthCheck {
  readonly Test: readonly string[];
  readonly Interval?: number;
  readonly Timeout?: number;
  readonly StartPeriod?: number;
  readonly StartInterval?: number;
  readonly Retries?: number;
}

export interface ImageHistory {
  readonly created?: string;
  readonly created_by?: string;
  readonly author?: string;
  readonly comment?: string;
  readonly empty_layer?: boolean;
}

/** `build-cache/HEX.json`: what a step of a build made; HEX is the SHA-256 of all that decides it. */
export interface BuildStepRecord {
  readonly schema: 1;
  /** The instruction, for people. */
  readonly instruction: string;
  readonly created: string;
  /** The layer that it left; a step that changed no file has none. */
  readonly layer?: string;
}

/** One mount that a user or an image asked for, in whatever form it was written (`-v`, `--mount`, `--tmpfs`, `--volumes-from`, VOLUME). */
export interface MountSpec {
  readonly type: "bind" | "volume" | "tmpfs" | "image";
  /** A path of the host for `bind`, the name of a volume (undefined: anonymous, until it is created), the name of an image. */
  readonly source?: string;
  /** An absolute path in the container. */
  readonly target: string;
  readonly readOnly: boolean;
  /** Who asked: it decides which of two specs of a target wins, and what is populated. */
  readonly origin: "volumes-from" | "volume" | "mount" | "tmpfs" | "image";
  readonly propagation?: Propagation;
  /** `bind-recursive=`. Default: `enabled`, read-only recursively where the kernel can. */
  readonly recursive?: "enabled" | "disabled" | "writable" | "readonly";
  /** A missing source of a bind is made (`-v`, `bind-create-src`); otherwise it is an error. */
  readonly createSource?: boolean;
  /** Content of the image is not copied into an empty volume. */
  readonly noCopy?: boolean;
  /** A directory within the volume or image. */
  readonly subpath?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly driver?: string;
  readonly driverOptions?: Readonly<Record<string, string>>;
  /** Options of a tmpfs, as mount(2) takes them in its data (`size=…,mode=…`), and flags (`exec`, `ro`). */
  readonly tmpfsOptions?: readonly string[];
}

export type Propagation = "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave";

/** How the writable layer of a container is kept: `assemble/drivers/`. */
export type DriverName = "cowfs" | "overlay2" | "btrfs" | "vfs";

/** `containers/ID/config.json`: what does not change after `create`, but for the name and the driver. */
export interface ContainerRecord {
  readonly schema: 1;
  /** 64 hexadecimal digits. */
  readonly id: string;
  readonly name: string;
  readonly created: string;
  /** What it was made of: id of the image, and the name the user wrote. */
  readonly image: { readonly id: string; readonly name: string };
  /** The process: entry point and command together, environment `NAME=VALUE`, user as written, working directory. */
  readonly process: {
    readonly args: readonly string[];
    /** How many of them are the entry point: the others are what `run IMAGE COMMAND` replaces. */
    readonly entrypointLength: number;
    readonly env: readonly string[];
    readonly user: string;
    readonly workingDirectory: string;
    readonly terminal: boolean;
    readonly openStdin: boolean;
    readonly stopSignal: string;
  };
  readonly hostname: string;
  /** In the order in which they are mounted; volumes have their names by now, anonymous ones too. */
  readonly mounts: readonly MountSpec[];
  readonly readOnly: boolean;
  /** `--rm`. */
  readonly autoRemove: boolean;
  /** `--runtime`: a name or path, or `auto`. */
  readonly runtime: string;
  /** Absent: `cowfs`. */
  readonly driver?: DriverName;
  /** `--network none`; otherwise the network is the host's. */
  readonly network?: "none";
  /** `--init`: an init of the host is the first process. */
  readonly init?: true;
  readonly labels: Readonly<Record<string, string>>;
  /** `--storage-opt`, as written: `size` is the most that the writable layer may hold. */
  readonly storageOptions?: { readonly size?: string };
}

/** `containers/ID/state.json`: what the last start, and the end of it, left. Whether a process still lives is asked of /proc. */
export interface ContainerState {
  readonly schema: 1;
  readonly status: "created" | "running" | "exited";
  /** The first process, as the host numbers it, and its start time (`/proc/PID/stat`, field 22): a pid alone may be another's by now. */
  readonly pid?: number;
  readonly processStart?: string;
  /** The process that waits for its end, tidies up and records it. */
  readonly monitor?: { readonly pid: number; readonly processStart: string };
  /** Its output goes to its log, not to whoever started it. */
  readonly detached?: true;
  /** What runs it: the path of an OCI runtime, or `unshare`. */
  readonly runtime?: string;
  /** Its volumes had their chance to get what the image has, before any start. */
  readonly filled?: true;
  readonly started?: string;
  readonly finished?: string;
  /** 255 with an `error` where nobody was there to see it. */
  readonly exitCode?: number;
  /** Why it did not start, if it did not; otherwise `complaint`. */
  readonly error?: string;
  /** What could not be undone after its end: a plugin did not unmount a volume, say. */
  readonly complaint?: string;
}

/** `volumes/NAME/volume.json`; with the driver `local` beside `_data/`. */
export interface VolumeRecord {
  readonly schema: 1;
  readonly name: string;
  readonly driver: string;
  readonly created: string;
  readonly labels: Readonly<Record<string, string>>;
  /** `type`, `device`, `o`, `size` for the driver `local`; whatever a plugin understands. */
  readonly options: Readonly<Record<string, string>>;
}

/** `volume-uses/ID/NAME.json`: a volume that its plugin has mounted for somebody, and must be told when that is over. */
export interface VolumeUseRecord {
  readonly schema: 1;
  readonly volume: string;
  readonly driver: string;
  /** What the plugin was told: the id of the container, or one made up for this use. */
  readonly id: string;
  /** Written before the plugin is asked to mount, when it has, and before it is asked to unmount. */
  readonly state: "asked" | "mounted" | "leaving";
  /** Where the plugin has mounted it; empty until that is known. */
  readonly mountpoint: string;
  /** Whose it is: the container's of this id; or a process's, and then of what it has mounted below `over` (a path in bytes), if that is given. */
  readonly owner: "container" | { readonly pid: number; readonly processStart: string; readonly over?: string };
  /** The boot id of Linux: after a restart of the machine nothing is mounted, whatever the record says. */
  readonly boot?: string;
}

import { readFileSync } from "node:fs";
import type { Area } from "./area.js";
import { attempt, command, type Ended, shell } from "./command.js";
import { compareTrees } from "./merged.js";
import { cowfs, mountStack } from "./mounts.js";
import { helper } from "./worker.js";

/** A data root in a test's area, and the commands on it. */
export class Store {
  constructor(
    private readonly area: Area,
    readonly root = area.at("root"),
  ) {}

  /** Runs `cowfs --root ROOT …` standing in the area. */
  attempt(...args: string[]): Promise<Ended> {
    return cowfs(["--root", this.root, ...args], { cwd: this.area.path, timeout: 120_000 });
  }

  /** The same, for what must succeed: its output. */
  async run(...args: string[]): Promise<string> {
    const { status, stdout, stderr } = await this.attempt(...args);
    if (status !== 0) throw new Error(`cowfs ${args.join(" ")}: status ${status}\n${stdout}${stderr}`);
    return stdout;
  }

  /** The id that a name stands for. */
  id(name: string): string {
    const { names } = JSON.parse(readFileSync(`${this.root}/images/names.json`, "utf8")) as {
      names: Record<string, string>;
    };
    const id = names[name.includes(":") ? name : `${name}:latest`];
    if (id === undefined) throw new Error(`no image ${name}`);
    return id;
  }

  /** The configuration of an image. */
  config(id: string): ImageDocument {
    return JSON.parse(readFileSync(`${this.root}/images/${id.slice(7)}/config.json`, "utf8")) as ImageDocument;
  }

  /** The trees of an image's layers, the topmost first. */
  trees(id: string): string[] {
    return this.config(id)
      .rootfs.diff_ids.map((diffId) => `${this.root}/layers/${diffId.slice(7)}/tree`)
      .reverse();
  }

  /** What the union of an image's layers shows that the directory `expected` does not, and the other way round; empty if they are the same. */
  async difference(id: string, expected: string, words = ""): Promise<string> {
    const at = await this.area.directory("shown");
    await mountStack("cowfs", { lowers: this.trees(id) }, at);
    try {
      const [shown, wanted] = [await snapshot(at, words), await snapshot(expected, words)];
      return compareTrees(wanted, shown);
    } finally {
      await cowfs(["umount", at]);
    }
  }
}

export interface ImageDocument {
  readonly created?: string;
  readonly architecture: string;
  readonly config?: Record<string, unknown>;
  readonly rootfs: { readonly diff_ids: readonly string[] };
  readonly history?: readonly {
    readonly created?: string;
    readonly created_by?: string;
    readonly empty_layer?: boolean;
  }[];
}

async function snapshot(path: string, words: string): Promise<Record<string, string>> {
  const answer = await helper().call("snapshot", [path, words], 120_000);
  return JSON.parse(answer.text) as Record<string, string>;
}

/**
 * Makes an OCI layout `oci` with the image `img` in the area, by umoci: two layers, of which the upper one removes, replaces and adds. Returns what
 * the image is when unpacked by umoci.
 */
export async function makeLayout(area: Area): Promise<string> {
  await shell(
    `umoci init --layout oci
     umoci new --image oci:img
     umoci unpack --image oci:img first
     cd first/rootfs
     mkdir -p bin etc sub/deep removed/dir
     cp /bin/true bin/tool
     chmod 4755 bin/tool; setcap cap_net_raw+ep bin/tool
     echo base >etc/file; ln etc/file etc/linked; ln -s /etc/file absolute; ln -s ../../../../etc/passwd outward
     setfattr -n user.binary -v 0s/wAB etc/file
     echo old >etc/old; touch -d '1960-01-02 03:04:05' etc/old; chown 1234:3000001 etc/old
     echo f >sub/deep/file; echo r >removed/dir/file
     mknod console c 5 1; mknod disk b 8 0; mkfifo fifo
     printf x >"$(printf 'latin\\351')"; printf y >"a name with a
newline"
     mkdir -p "$(printf '%0100d' 1)/$(printf '%0100d' 2)"; echo long >"$(printf '%0100d' 1)/$(printf '%0100d' 2)/$(printf '%0200d' 3)"
     mkdir -m 1777 tmp; chmod 750 etc; chown 3:4 etc
     cd ../..
     umoci repack --image oci:img first
     umoci unpack --image oci:img second
     cd second/rootfs
     rm -r etc/old removed; rm -r sub; mkdir sub; echo new >sub/new; echo more >>etc/file
     echo t >tmp/file
     cd ../..
     umoci repack --image oci:img second
     umoci unpack --image oci:img unpacked`,
    { cwd: area.path },
  );
  return area.at("unpacked", "rootfs");
}

/** Whether the programs are there that a test needs. */
export async function has(program: string): Promise<boolean> {
  return (await attempt("which", [program])).status === 0;
}

/** The SHA-256 of a file, as images write it. */
export async function digestOf(path: string): Promise<string> {
  return `sha256:${(await command("sha256sum", [path])).slice(0, 64)}`;
}

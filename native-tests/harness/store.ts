import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type DataRoot, openDataRoot } from "../../src/store/data-root.js";
import { storeImage } from "../../src/store/images.js";
import type { ImageRunConfig } from "../../src/store/records.js";
import { createLayerFromTree } from "../../src/store/testing.js";
import { Area, type Place } from "./area.js";
import { command, type Ended } from "./command.js";
import { cowfs } from "./mounts.js";

/** A tree in which shell scripts run: busybox, linked statically, and users `root` and `user` (1000, also in the group `extra`, 50). */
export async function busyboxTree(path: string): Promise<string> {
  for (const directory of ["bin", "etc", "root", "tmp"]) mkdirSync(join(path, directory), { recursive: true });
  const busybox = (await command("sh", ["-c", "command -v busybox"])).trim();
  copyFileSync(busybox, join(path, "bin/busybox"));
  for (const applet of (await command(busybox, ["--list"])).trim().split("\n")) {
    if (applet !== "busybox") symlinkSync("busybox", join(path, "bin", applet));
  }
  writeFileSync(join(path, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n");
  writeFileSync(join(path, "etc/group"), "root:x:0:\nuser:x:1000:\nextra:x:50:user\n");
  writeFileSync(join(path, "etc/motd"), "from the image\n");
  return path;
}

/** A data root in an area of its own, and the commands that work on it. */
export class Store {
  readonly root: DataRoot;
  /** Mounts of the area that go with it. */
  private own: string[] = [];

  constructor(
    readonly area = new Area(),
    readonly path = area.at("root"),
  ) {
    this.root = openDataRoot(this.path);
  }

  /** A data root on a file system of its own. */
  static async on(place: Place): Promise<Store> {
    const area = new Area();
    const path = await area.directory("root", place);
    const store = new Store(area);
    store.own = place === "disk" ? [] : [path];
    return store;
  }

  /** Runs a command on this data root to its end. */
  run(words: readonly string[], timeout = 60_000): Promise<Ended> {
    return cowfs(["--root", this.path, ...words], { timeout });
  }

  /** Runs a command that must succeed and say nothing on stderr; returns what it printed. */
  async ok(...words: string[]): Promise<string> {
    const { status, stdout, stderr } = await this.run(words);
    if (status !== 0 || stderr !== "") {
      throw new Error(`cowfs ${words.join(" ")}: status ${status}\n${stdout}${stderr}`);
    }
    return stdout;
  }

  /** Makes an image of trees, the lowest first. */
  async image(name: string, trees: readonly string[], config: ImageRunConfig = {}): Promise<string> {
    const layers = [];
    for (const tree of trees) layers.push(await createLayerFromTree(this.root, tree, { marks: "overlay" }));
    const bytes = JSON.stringify({
      architecture: "amd64",
      os: "linux",
      config: { Env: ["PATH=/bin"], Cmd: ["sh"], ...config },
      rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
    });
    return (await storeImage(this.root, Buffer.from(bytes), [name])).id;
  }

  /** An image of `busyboxTree`. */
  async busybox(name: string, config: ImageRunConfig = {}): Promise<string> {
    const tree = this.area.at(`tree-${name}`);
    return await this.image(name, [await busyboxTree(tree)], config);
  }

  /** Removes all containers, and everything else. Returns what a test should have ended itself. */
  async remove(): Promise<string[]> {
    const ids = (await this.ok("ps", "-aq", "--no-trunc")).split("\n").filter((id) => id !== "");
    const complaints: string[] = [];
    if (ids.length > 0) {
      const { status, stderr } = await this.run(["rm", "-f", ...ids]);
      if (status !== 0) complaints.push(`cowfs rm: ${stderr}`);
    }
    return [...complaints, ...(await this.area.remove(this.own))];
  }
}

/** Waits for something that has no way to say when it is there. */
export async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let waited = 0; !(await condition()); waited += 20) {
    if (waited > 60_000) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

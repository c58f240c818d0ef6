/** Volumes of a driver outside of cowfs: a process that speaks Docker's volume plugin protocol, and mounts. */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { placesOf } from "../src/store/containers.js";
import type { ContainerState } from "../src/store/records.js";
import { command, shell } from "./harness/command.js";
import { cowfsProgram, processEnd } from "./harness/mounts.js";
import { mountAt } from "./harness/namespace.js";
import { Store, until } from "./harness/store.js";
import { VolumePlugin } from "./harness/volume-plugin.js";

let store: Store;
let plugin: VolumePlugin;

beforeAll(async () => {
  store = new Store();
  process.env["COWFS_PLUGIN_DIRS"] = store.area.at("plugins");
  mkdirSync(store.area.at("plugins"));
  plugin = new VolumePlugin(store.area.at("plugin"), store.area.at("plugins", "ram.sock"));
  await plugin.start();
  await store.busybox("base");
  mkdirSync(store.area.at("m"));
});

beforeEach(() => {
  plugin.calls();
});

afterAll(async () => {
  await store.run(["rm", "-f", ...(await store.ok("ps", "-aq")).split("\n").filter((id) => id !== "")]);
  await plugin.kill();
  expect(await store.remove()).toEqual([]);
});

const forever = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.05; done"];
const plugged = (name: string): string => store.area.at("plugin", "mnt", name);
const failed = (message: string, stdout = "") => ({ status: 1, stdout, stderr: `cowfs: ${message}\n` });
const stateOf = (id: string): ContainerState =>
  JSON.parse(readFileSync(placesOf(store.root, id).state, "utf8")) as ContainerState;

/** Nothing is on record as used, and the plugin has nothing mounted. */
function expectUnused(name: string): void {
  expect(mountAt(plugged(name))).toBeUndefined();
  const uses = store.area.at("root", "volume-uses");
  expect(existsSync(uses) ? readdirSync(uses) : []).toEqual([]);
}

describe("volume commands", () => {
  test("create, ls, inspect, rm: what the plugin is asked, and what it says", async () => {
    expect(await store.ok("volume", "create", "-d", "ram", "-o", "a=b", "-o", "c", "--label", "l=1", "made")).toBe(
      "made\n",
    );
    const type = "application/vnd.docker.plugins.v1.2+json";
    const how = { method: "POST", accept: type, type };
    expect(plugin.calls()).toEqual([
      { call: "/Plugin.Activate", ...how },
      { call: "/VolumeDriver.Get", ...how, Name: "made" },
      { call: "/VolumeDriver.Create", ...how, Name: "made", Opts: { a: "b", c: "" } },
    ]);
    // A second time it stays as it is; a name has one driver.
    expect(await store.ok("volume", "create", "-d", "ram", "made")).toBe("made\n");
    expect(await store.ok("volume", "create", "made")).toBe("made\n");
    expect(plugin.calls()).toEqual([]);
    const conflict = 'conflict: volume name must be unique: the volume exists with the driver "ram"';
    expect(await store.run(["volume", "create", "-d", "local", "made"])).toEqual(failed(`create made: ${conflict}`));

    await store.ok("volume", "create", "here");
    expect(await store.ok("volume", "ls")).toBe("DRIVER    VOLUME NAME\nlocal     here\nram       made\n");
    expect(await store.ok("volume", "ls", "--format", "{{.Name}} {{.Scope}} {{.Labels}}", "-f", "driver=ram")).toBe(
      "made global l=1\n",
    );
    plugin.calls();
    expect(await store.ok("volume", "ls", "-q", "-f", "driver=local")).toBe("here\n");
    expect(plugin.calls()).toEqual([]);
    expect(JSON.parse(await store.ok("volume", "inspect", "made"))).toEqual([
      {
        CreatedAt: "2020-01-02T03:04:05Z",
        Driver: "ram",
        Labels: { l: "1" },
        Mountpoint: "",
        Name: "made",
        Options: { a: "b", c: "" },
        Scope: "global",
        Status: { users: 0, options: { a: "b", c: "" } },
      },
    ]);
    expect(await store.ok("volume", "prune", "-af")).toBe("Deleted Volumes:\nhere\n\nTotal reclaimed space: 0B\n");
    expect(await store.ok("volume", "rm", "made")).toBe("made\n");
    expect(await store.ok("volume", "ls", "-q")).toBe("");
    expect(readdirSync(store.root.volumes)).toEqual([]);
  });

  test("what only the plugin knows is listed, and used under its name", async () => {
    const foreign = store.area.at("plugin", "volumes", "foreign.json");
    writeFileSync(foreign, "{}");
    expect(await store.ok("volume", "ls")).toBe("DRIVER    VOLUME NAME\nram       foreign\n");
    expect(await store.ok("volume", "inspect", "-f", "{{.Driver}}", "foreign")).toBe("ram\n");
    expect(
      await store.ok("run", "--rm", "-v", "foreign:/data", "base", "sh", "-c", "grep ' /data ' /proc/mounts"),
    ).toMatch(/^plugin \/data tmpfs /);
    await store.ok("volume", "rm", "foreign");
    expect(existsSync(foreign)).toBe(false);
    writeFileSync(foreign, "{}");
    await store.ok("volume", "create", "-d", "ram", "foreign");
    expect(plugin.calls().map(({ call }) => call)).not.toContain("/VolumeDriver.Create");
    await store.ok("volume", "rm", "foreign");
  });

  test("rm: the plugin refuses, and -f forgets the volume all the same", async () => {
    await store.ok("volume", "create", "-d", "ram", "lost");
    await command("rm", [store.area.at("plugin", "volumes", "lost.json")]);
    const refused = failed("volume plugin ram: VolumeDriver.Remove of lost: there is no volume lost");
    expect(await store.run(["volume", "rm", "lost"])).toEqual(refused);
    expect(readdirSync(store.root.volumes)).toEqual(["lost"]);
    expect(await store.run(["volume", "rm", "-f", "lost"])).toEqual(refused);
    expect(readdirSync(store.root.volumes)).toEqual([]);
    expect(await store.ok("volume", "rm", "-f", "lost")).toBe("lost\n");
  });

  test("many commands at once make one volume", async () => {
    const all = await Promise.all(Array.from({ length: 6 }, () => store.ok("volume", "create", "-d", "ram", "same")));
    expect(all).toEqual(Array.from({ length: 6 }, () => "same\n"));
    expect(plugin.calls().filter(({ call }) => call === "/VolumeDriver.Create")).toHaveLength(1);
    await store.ok("volume", "rm", "same");
  });

  test("export and import mount for as long as they take", async () => {
    await store.ok("volume", "create", "-d", "ram", "-o", "keep=yes", "data");
    await shell("mkdir in; echo hello > in/file; tar -cf in.tar -C in .", { cwd: store.area.path });
    await store.ok("volume", "import", "data", store.area.at("in.tar"));
    expectUnused("data");
    await store.ok("volume", "export", "data", "-o", store.area.at("out.tar"));
    expectUnused("data");
    expect(await command("tar", ["-xOf", store.area.at("out.tar"), "file"])).toBe("hello\n");
    const counted = plugin.mounts();
    expect(counted).toHaveLength(4);
    expect(counted.map((line) => line.replace(/ \w{64}$/, ""))).toEqual([
      "Mount data",
      "Unmount data",
      "Mount data",
      "Unmount data",
    ]);
    expect((await store.run(["volume", "import", "data", store.area.at("in.tar")])).stderr).toContain("is not empty");
    expectUnused("data");
    await store.ok("volume", "rm", "data");
  });
});

describe("containers", () => {
  test("create, start, stop, start, rm: one Mount and one Unmount each time, by the container's id", async () => {
    const mounts = ["-v", "life:/data", "--mount", "src=life,dst=/again,readonly"];
    const id = (
      await store.ok("create", "--name", "life", "--volume-driver", "ram", ...mounts, "base", ...forever)
    ).trim();
    expect(plugin.mounts()).toEqual([]);
    await store.ok("start", "life");
    expect(plugin.mounts()).toEqual([`Mount life ${id}`]);
    expect(await store.ok("exec", "life", "sh", "-c", "echo 1 > /data/file; cat /again/file")).toBe("1\n");
    expect((await store.run(["exec", "life", "touch", "/again/none"])).status).toBe(1);
    expect(await store.ok("inspect", "-f", "{{range .Mounts}}{{.Driver}} {{.Source}};{{end}}", "life")).toBe(
      `ram ${plugged("life")};ram ${plugged("life")};\n`,
    );
    expect(await store.run(["volume", "rm", "life"])).toEqual(failed("remove life: volume is in use - [life]"));
    await store.ok("stop", "life");
    expect(plugin.mounts()).toEqual([`Unmount life ${id}`]);
    expectUnused("life");
    // What only a plugin's memory held is gone: what is in it is the plugin's affair.
    await store.ok("start", "life");
    expect(await store.ok("exec", "life", "ls", "/data")).toBe("");
    await store.ok("rm", "-f", "life");
    expect(plugin.mounts()).toEqual([`Mount life ${id}`, `Unmount life ${id}`]);
    await store.ok("volume", "rm", "life");
  });

  test("two containers share a volume, which is there until the last one has ended", async () => {
    const start = (name: string) =>
      store.ok("run", "-d", "--name", name, "--mount", "volume-driver=ram,src=both,dst=/d", "base", ...forever);
    const ids = [(await start("one")).trim(), (await start("two")).trim()];
    await store.ok("exec", "one", "sh", "-c", "echo shared > /d/file");
    await store.ok("rm", "-f", "one");
    expect(await store.ok("exec", "two", "cat", "/d/file")).toBe("shared\n");
    expect(mountAt(plugged("both"))).toBeDefined();
    await store.ok("rm", "-f", "two");
    expect(plugin.mounts()).toEqual([...ids.map((id) => `Mount both ${id}`), ...ids.map((id) => `Unmount both ${id}`)]);
    expectUnused("both");
    await store.ok("volume", "rm", "both");
  });

  test("an anonymous volume is filled from the image, and goes with --rm; a program that fails unmounts, too", async () => {
    const anonymous = ["--volume-driver", "ram", "-v", "/etc"];
    expect(await store.ok("run", "--rm", ...anonymous, "base", "cat", "/etc/motd")).toBe("from the image\n");
    expect(plugin.calls().map(({ call }) => call)).toContain("/VolumeDriver.Remove");
    expect((await store.run(["run", "--rm", ...anonymous, "base", "nosuch"])).status).toBe(127);
    expect(plugin.mounts().map((line) => line.split(" ")[0])).toEqual(["Mount", "Unmount"]);
    expect(await store.ok("volume", "ls", "-q")).toBe("");
    const none = await store.run(["run", "--rm", "--volume-driver", "nosuch", "-v", "v1:/d", "base", "true"]);
    expect(none.status).toBe(125);
    expect(none.stderr).toMatch(/^cowfs: create v1: the volume driver "nosuch" is not known: /);
  });

  test("cp into a container that does not run mounts, and unmounts", async () => {
    await store.ok("create", "--name", "still", "--volume-driver", "ram", "-v", "kept:/data", "base", "true");
    await store.ok("volume", "rm", "-f", "none");
    writeFileSync(store.area.at("word"), "word");
    await store.ok("cp", store.area.at("word"), "still:/data/word");
    expect(plugin.mounts().map((line) => line.split(" ")[0])).toEqual(["Mount", "Unmount"]);
    expectUnused("kept");
    await store.ok("rm", "still");
    await store.ok("volume", "rm", "kept");
  });

  test("a monitor and its container are killed: the next command tells the plugin", async () => {
    const run = ["run", "-d", "--volume-driver", "ram", "-v", "crash:/data"];
    const id = (await store.ok(...run, "base", ...forever)).trim();
    const { monitor, pid = 0 } = stateOf(id);
    for (const one of [monitor?.pid ?? 0, pid]) {
      process.kill(one, "SIGKILL");
      expect(await processEnd(one, 60_000)).toBe(true);
    }
    expect(plugin.mounts()).toEqual([`Mount crash ${id}`]);
    expect((await store.run(["system", "check"])).stdout).toContain("volume crash: its plugin ram was not told that");
    expect((await store.run(["system", "check", "--repair"])).status).toBe(0);
    expect(plugin.mounts()).toEqual([`Unmount crash ${id}`]);
    expectUnused("crash");
    expect(await store.ok("system", "check")).toBe("ok: nothing is wrong\n");
    await store.ok("rm", id);
    await store.ok("volume", "rm", "crash");
  });
});

describe("mount -v", () => {
  const mount = (...words: string[]) => {
    const [lower, upper] = [store.area.at("tree-base"), store.area.at("upper")];
    return store.run(["mount", "--lower", lower, "--upper", upper, ...words, store.area.at("m")]);
  };
  const driven = ["--mount", "volume-driver=ram,src=over,dst=/data"];

  test("the volume is there until umount, also under a path with links; rm names the mountpoint", async () => {
    symlinkSync("mnt", store.area.at("plugin/link"));
    const byLink = JSON.stringify({ Mountpoint: `${store.area.at("plugin/link")}//over/` });
    plugin.behave({ "VolumeDriver.Mount": ["done", { status: 200, body: byLink }] });
    expect(await mount(...driven)).toEqual({ status: 0, stdout: "", stderr: "" });
    plugin.behave({});
    const [mounted = ""] = plugin.mounts();
    expect(mounted).toMatch(/^Mount over [0-9a-f]{64}$/);
    writeFileSync(store.area.at("m/data/file"), "x");
    expect(readdirSync(plugged("over"))).toEqual(["file"]);
    const users = `[${store.area.at("m/data")}]`;
    expect(await store.run(["volume", "rm", "over"])).toEqual(failed(`remove over: volume is in use - ${users}`));
    expect(await store.ok("umount", store.area.at("m"))).toBe("");
    expect(plugin.mounts()).toEqual([`Unmount ${mounted.slice(6)}`]);
    expectUnused("over");
  });

  test("a mount that fails, and one that is taken away by umount(8), leave nothing mounted for long", async () => {
    expect((await mount(...driven, "--mount", "type=bind,src=/nowhere,dst=/x")).status).toBe(1);
    expectUnused("over");
    expect((await mount(...driven, "-v", `${store.area.at("tree-base")}:/etc/passwd`)).status).toBe(1);
    expect(plugin.mounts().map((line) => line.split(" ")[0])).toEqual(["Mount", "Unmount"]);
    expectUnused("over");
    await mount(...driven);
    await command("umount", [store.area.at("m/data")]);
    await command("umount", [store.area.at("m")]);
    await until(() => !existsSync(store.area.at("m/bin")), "the end of the mount");
    expect(mountAt(plugged("over"))).toBeDefined();
    await store.ok("volume", "rm", "over");
    expectUnused("over");
  });

  test("a command that is killed between Mount and Unmount: the next user of the volume sees to that", async () => {
    await store.ok("volume", "create", "-d", "ram", "-o", "keep=yes", "over");
    // It waits for the archive, which never comes.
    const importing = spawn(cowfsProgram, ["--root", store.path, "volume", "import", "over"], { stdio: "pipe" });
    const ended = new Promise((resolve) => importing.once("exit", resolve));
    await until(() => mountAt(plugged("over")) !== undefined, "the import");
    const users = `[process ${importing.pid}]`;
    expect(await store.run(["volume", "rm", "over"])).toEqual(failed(`remove over: volume is in use - ${users}`));
    importing.kill("SIGKILL");
    await ended;
    expect(mountAt(plugged("over"))).toBeDefined();
    await store.ok("volume", "export", "over", "-o", store.area.at("empty.tar"));
    expectUnused("over");
    await store.ok("volume", "rm", "over");
  });
});

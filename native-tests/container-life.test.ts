/** Containers over time: who watches them dies, two commands come at once, there are many, and nothing is left of those that are gone. */
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { placesOf } from "../src/store/containers.js";
import type { ContainerState } from "../src/store/records.js";
import { attempt, command } from "./harness/command.js";
import { cowfsProgram, processEnd } from "./harness/mounts.js";
import { mountInfo } from "./harness/namespace.js";
import { Store, until } from "./harness/store.js";

let store: Store;

beforeAll(async () => {
  store = new Store();
  await store.busybox("base");
});

afterAll(async () => {
  expect(await store.remove()).toEqual([]);
});

const forever = ["sh", "-c", "echo begun; trap 'exit 0' TERM; while :; do sleep 0.05; done"];
const stateOf = (id: string): ContainerState =>
  JSON.parse(readFileSync(placesOf(store.root, id).state, "utf8")) as ContainerState;
const status = (name: string): Promise<string> => store.ok("ps", "-a", "--format", "{{.Status}}", "-f", `name=${name}`);

/** Nothing of a container runs or is mounted. */
async function expectAtRest(id: string): Promise<void> {
  expect(mountInfo().filter(({ mountpoint }) => mountpoint.includes(id))).toEqual([]);
  // A monitor ends a moment after it has recorded the end.
  await until(
    async () => (await attempt("pgrep", ["-f", `monitor ${id.slice(0, 12)}|driver .*${id}`])).stdout === "",
    "the end of the monitor and the driver",
  );
  expect(existsSync(placesOf(store.root, id).bundle)).toBe(false);
}

for (const runtime of ["auto", "unshare"]) {
  describe(`with the runtime ${runtime}`, () => {
    test("a monitor that is killed: ps tells the truth, and stop, start and rm mend it", async () => {
      const name = `orphan-${runtime}`;
      const id = (await store.ok("run", "-d", "--name", name, "--runtime", runtime, "base", ...forever)).trim();
      const { monitor, pid = 0 } = stateOf(id);
      process.kill(monitor?.pid ?? 0, "SIGKILL");
      expect(await processEnd(monitor?.pid ?? 0, 60_000)).toBe(true);
      expect(await status(name)).toMatch(/^Up /);
      expect(await store.ok("exec", name, "echo", "alive")).toBe("alive\n");
      expect((await store.run(["rm", name])).status).toBe(1);
      process.kill(pid, "SIGKILL");
      expect(await processEnd(pid, 60_000)).toBe(true);
      expect(await status(name)).toMatch(/^Exited \(255\)/);
      // What was written is there, and the next start works.
      await store.ok("start", name);
      expect(await status(name)).toMatch(/^Up /);
      process.kill(stateOf(id).monitor?.pid ?? 0, "SIGKILL");
      expect(await store.ok("stop", name)).toBe(`${name}\n`);
      await expectAtRest(id);
      await store.ok("start", name);
      process.kill(stateOf(id).monitor?.pid ?? 0, "SIGKILL");
      await store.ok("rm", "-f", name);
      await expectAtRest(id);
      expect(existsSync(placesOf(store.root, id).path)).toBe(false);
    });

    test("a driver that is killed takes the programs' files away, and nothing else", async () => {
      const name = `dead-${runtime}`;
      const write = [
        "sh",
        "-c",
        "echo kept >/file; sync; echo begun; trap 'exit 0' TERM; while :; do read -t 0.1 x </dev/zero; done",
      ];
      const id = (await store.ok("run", "-d", "--name", name, "--runtime", runtime, "base", ...write)).trim();
      await until(async () => (await store.ok("logs", name)).includes("begun"), "the program");
      const mounts = JSON.parse(await store.ok("mounts", "--json")) as { mountpoint: string; pid: number }[];
      process.kill(mounts.find(({ mountpoint }) => mountpoint.includes(id))?.pid ?? 0, "SIGKILL");
      await store.ok("stop", "-t", "0", name);
      await expectAtRest(id);
      await store.ok("start", name);
      expect(await store.ok("exec", name, "cat", "/file")).toBe("kept\n");
      await store.ok("rm", "-f", name);
    });

    test("a start that is killed half-way leaves nothing that rm does not find", async () => {
      for (const milliseconds of [30, 90, 180, 300, 450]) {
        const id = (await store.ok("create", "--runtime", runtime, "base", ...forever)).trim();
        const started = attempt(cowfsProgram, ["--root", store.path, "start", id]);
        await until(
          async () => (await attempt("pgrep", ["-f", `monitor ${id.slice(0, 12)}`])).stdout !== "",
          "the monitor",
        );
        await new Promise((resolve) => setTimeout(resolve, milliseconds));
        await attempt("pkill", ["-KILL", "-f", `monitor ${id.slice(0, 12)}`]);
        await started;
        await store.ok("rm", "-f", id);
        await until(
          async () => (await attempt("pgrep", ["-f", `driver .*${id}`])).stdout === "",
          "the end of the driver",
        );
        await expectAtRest(id);
      }
    });
  });
}

test("a start that fails says why, and is undone", async () => {
  const { status: code, stderr } = await store.run(["run", "--name", "wrong", "base", "nosuch"]);
  expect({ code, stderr }).toEqual({
    code: 127,
    stderr: 'cowfs: exec: "nosuch": executable file not found in $PATH\n',
  });
  expect(await status("wrong")).toBe("Created\n");
  expect(await store.ok("inspect", "-f", "{{.State.ExitCode}} {{.State.Error}}", "wrong")).toContain("127 exec:");
  const id = readlinkSync(`${store.root.containerNames}/wrong`);
  await expectAtRest(id);
  expect((await store.run(["run", "-d", "--rm", "base", "nosuch"])).status).toBe(127);
  expect((await store.run(["run", "--rm", "--mount", "type=bind,src=/nowhere,dst=/x", "base", "true"])).status).toBe(
    125,
  );
  expect((await store.run(["run", "--nosuch", "base"])).status).toBe(125);
  expect((await store.run(["run", "--rm", "--runtime", "/bin/false", "base", "true"])).status).toBe(125);
  expect((await store.run(["run", "--rm", "bse", "true"])).stderr).toMatch(
    /^cowfs: there is no image bse; did you mean base/,
  );
  const filters = ["-f", "name=^wr.ng$", "-f", "status=created"];
  expect(await store.ok("ps", ...filters, "--format", "{{.Size}} {{.Networks}}")).toBe("0B host\n");
  expect(await store.ok("ps", "-aq", "-f", "since=wrong")).toBe("");
  expect(await store.ok("ps", "-q", "-f", "exited=127")).toBe("");
  expect(await store.run(["ps", "-aq", "-f", "ancestor=bse"])).toEqual({
    status: 0,
    stdout: "",
    stderr: expect.stringMatching(/^cowfs: there is no image bse; did you mean base/),
  });
  expect((await store.run(["ps", "-aq", "-f", "ancestor=bse", "-f", "ancestor=base"])).stdout).not.toBe("");
  await store.ok("rm", "wrong");
  expect(await store.ok("ps", "-aq")).toBe("");
});

test("two commands at once: one name is given once, one start is one process, one removal is one", async () => {
  const statuses = async (...lines: string[][]) =>
    (await Promise.all(lines.map((line) => store.run(line)))).map((end) => end.status);
  const create = ["create", "--name", "twin", "base", ...forever];
  expect((await statuses(create, create, create)).sort()).toEqual([0, 1, 1]);
  expect(await statuses(["start", "twin"], ["start", "twin"], ["start", "twin"])).toEqual([0, 0, 0]);
  expect((await store.ok("logs", "twin")).length).toBeLessThanOrEqual("begun\n".length);
  const id = readlinkSync(`${store.root.containerNames}/twin`);
  expect((await attempt("pgrep", ["-c", "-f", `monitor ${id}`])).stdout.trim()).toBe("1");
  await store.ok("rename", "twin", "only");
  expect((await store.run(["stop", "twin"])).stderr).toMatch(/^cowfs: no such container: twin/);
  expect(await statuses(["stop", "only"], ["stop", "only"])).toEqual([0, 0]);
  expect((await statuses(["rm", "only"], ["rm", "only"])).sort()).toEqual([0, 1]);
  expect(readdirSync(store.root.containerNames)).toEqual([]);
  expect(readdirSync(store.root.locks)).toEqual(["store"]);
});

test("a hundred containers of one image: the hundredth asks the file system no more than the first, and the layers are there once", async () => {
  const layers = readdirSync(store.root.layers);
  const calls = async (name: string): Promise<number> => {
    const trace = store.area.at("trace");
    await command("strace", [
      "-f",
      "-e",
      "trace=file,getdents64,read",
      "-o",
      trace,
      cowfsProgram,
      "--root",
      store.path,
      "create",
      "--name",
      name,
      "base",
    ]);
    return readFileSync(trace, "latin1")
      .split("\n")
      .filter((line) => line.includes(store.path) || line.includes("getdents64")).length;
  };
  await store.ok("create", "--name", "zeroth", "base");
  const first = await calls("first");
  const create = (index: number) => store.ok("create", "--name", `many-${index}`, "base");
  for (let index = 2; index < 100; index += 7) {
    await Promise.all(Array.from({ length: Math.min(7, 100 - index) }, (_, i) => create(index + i)));
  }
  expect((await store.ok("ps", "-aq")).trim().split("\n").length).toBe(100);
  expect(await calls("hundredth")).toBe(first);
  expect(readdirSync(store.root.layers)).toEqual(layers);
  const used = await command("sh", ["-c", `du -s --apparent-size ${store.root.containers} | cut -f1`]);
  // Kilobytes: no container has a part of the image.
  expect(Number(used)).toBeLessThan(101 * 64);
  const ids = (await store.ok("ps", "-aq")).trim().split("\n");
  await store.ok("rm", ...ids);
  expect(readdirSync(store.root.containers)).toEqual([]);
});

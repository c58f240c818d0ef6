/** Images are built from Dockerfiles: each step from the cache if nothing that decides it has changed, and only then. */
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { chmodSync, existsSync, readdirSync, utimesSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, expect, test } from "vitest";
import { attemptBuild, build, configOf, writeContext } from "./harness/build.js";
import { attempt } from "./harness/command.js";
import { cowfsProgram } from "./harness/mounts.js";
import { mountInfo } from "./harness/namespace.js";
import { Store, until } from "./harness/store.js";

let store: Store;

beforeEach(async () => {
  store = new Store();
  await store.busybox("base");
});

afterEach(async () => {
  // Nothing is left of any build, whatever became of it.
  expect(mountInfo().filter(({ mountpoint }) => mountpoint.startsWith(`${store.path}/`))).toEqual([]);
  expect(readdirSync(`${store.path}/tmp`)).toEqual([]);
  expect(await store.run(["system", "check"])).toMatchObject({ status: 0, stdout: "ok: nothing is wrong\n" });
  expect(await store.remove()).toEqual([]);
});

const packages = "RUN mkdir -p /usr/lib/python && yes package | head -c 3000000 >/usr/lib/python/lib";
const pip = "RUN pip install -r requirements.txt";

/** An application as it is taught: base, packages, what pip installs, source. */
function application(name: string, source: string): string {
  return writeContext(store.area.at(name), {
    Dockerfile: [
      ...["FROM base", packages, "COPY pip /bin/pip", "WORKDIR /app", "COPY requirements.txt .", pip, "COPY src/ src/"],
      'CMD ["cat", "src/main"]',
    ].join("\n"),
    pip: '#!/bin/sh\necho "Collecting $(cat $3)"\nyes $(cat $3) | head -c 1000000 >/usr/lib/python/site\n',
    "requirements.txt": "flask\n",
    "src/main": source,
  });
}

test("a second application takes what it shares with the first one from the cache", async () => {
  for (const name of ["one", "two"]) chmodSync(`${application(name, `source of ${name}\n`)}/pip`, 0o755);
  const one = await build(store, ["-t", "one", store.area.at("one")]);
  expect(one.stderr).toMatch(/\n\[6\/8\] RUN pip install .*\nCollecting flask\n {2}DONE .*1MB\n/);
  expect(one.cached).toEqual([]);
  const two = await build(store, ["-t", "two", store.area.at("two")]);
  expect(two.cached).toEqual([packages, "COPY pip /bin/pip", "WORKDIR /app", "COPY requirements.txt .", pip]);
  expect(await store.ok("run", "--rm", "one")).toBe("source of one\n");
  expect(await store.ok("run", "--rm", "two")).toBe("source of two\n");

  // All layers but that of the source are the same, and weigh once.
  const [first, second] = [await configOf(store, "one"), await configOf(store, "two")];
  expect(second.rootfs.diff_ids.slice(0, -1)).toEqual(first.rootfs.diff_ids.slice(0, -1));
  expect(second.rootfs.diff_ids.at(-1)).not.toBe(first.rootfs.diff_ids.at(-1));
  const history = JSON.parse(await store.ok("image", "history", "--json", "two")) as {
    createdBy: string;
    size: number;
    sharedWith: string[];
  }[];
  expect(history.map(({ createdBy, size, sharedWith }) => [createdBy, size, sharedWith]).slice(0, 6)).toEqual([
    ['CMD ["cat", "src/main"]', 0, []],
    ["COPY src/ src/", "source of two\n".length, []],
    [pip, 1_000_000, ["one:latest"]],
    ["COPY requirements.txt .", 6, ["one:latest"]],
    ["WORKDIR /app", 0, ["one:latest"]],
    ["COPY pip /bin/pip", expect.any(Number), ["one:latest"]],
  ]);
  const { images } = JSON.parse(await store.ok("system", "df", "-v", "--json")) as {
    images: { names: string[]; uniqueSize: number; sharedSize: number }[];
  };
  const two0 = images.find(({ names }) => names.includes("two:latest"));
  expect(two0?.uniqueSize).toBe("source of two\n".length);
  expect(two0?.sharedSize).toBeGreaterThan(4_000_000);

  // Built again, it is the same image.
  const again = await build(store, ["-t", "one", store.area.at("one")]);
  expect(again.id).toBe(one.id);
  expect(again.cached).toHaveLength(6);
  const anew = await build(store, ["--no-cache", store.area.at("one")]);
  expect(anew.cached).toEqual([]);
});

test("content and modes decide whether files are copied again, their times do not", async () => {
  const context = writeContext(store.area.at("context"), {
    Dockerfile: "FROM base\nCOPY data /data\nRUN cp /data/file /copy\n",
    "data/file": "one",
    "data/sub/other": "x",
  });
  const first = await build(store, [context]);
  utimesSync(`${context}/data/file`, 1, 1);
  const touched = await build(store, [context]);
  expect([touched.id, touched.cached]).toEqual([first.id, ["COPY data /data", "RUN cp /data/file /copy"]]);
  chmodSync(`${context}/data/sub/other`, 0o600);
  const other = await build(store, [context]);
  expect([other.id === first.id, other.cached]).toEqual([false, []]);
  writeFileSync(`${context}/data/file`, "two");
  expect((await build(store, ["-t", "new", context])).cached).toEqual([]);
  expect(await store.ok("run", "--rm", "new", "cat", "/copy")).toBe("two");
  // What was before is still known.
  writeFileSync(`${context}/data/file`, "one");
  expect((await build(store, [context])).cached).toHaveLength(2);
  // A change of the configuration alone makes no step anew.
  writeFileSync(`${context}/Dockerfile`, "FROM base\nLABEL a=b\nCOPY data /data\nCMD x\nRUN cp /data/file /copy\n");
  expect((await build(store, [context])).cached).toHaveLength(2);
  writeFileSync(`${context}/Dockerfile`, "FROM base\nENV a=b\nCOPY data /data\nRUN cp /data/file /copy\n");
  expect((await build(store, [context])).cached).toEqual(["COPY data /data"]);
});

test("a step that fails says so, and those before it stay in the cache", async () => {
  const context = writeContext(store.area.at("context"), {
    Dockerfile: "FROM base\nRUN echo one >/one\n\nRUN echo out; echo before >&2; ls /none; \\\n  exit 7\n",
  });
  const before = readdirSync(`${store.path}/images`);
  const failed = await attemptBuild(store, ["-t", "never", context]);
  expect(failed).toMatchObject({ status: 1, stdout: "" });
  // Where the line of stdout comes in is up to the runtime: runc copies both streams, through a pipe each.
  const ofStderr = (text: string): string => {
    expect(text).toMatch(/^out$/m);
    return text.replace(/^out\n/m, "");
  };
  expect(ofStderr(failed.stderr)).toContain("before\nls: /none: No such file or directory\n");
  expect(failed.stderr).toMatch(
    /\ncowfs: Dockerfile:4: RUN echo out; echo before >&2; ls \/none; exit 7: exit code 7\n$/,
  );
  expect(readdirSync(`${store.path}/images`)).toEqual(before);
  const quiet = await store.run(["image", "build", "-q", context]);
  expect(ofStderr(quiet.stderr)).toMatch(/^before\nls: .*\ncowfs: Dockerfile:4: /);
  writeFileSync(`${context}/Dockerfile`, "FROM base\nRUN echo one >/one\nRUN cat /one >/two\n");
  expect((await build(store, ["-t", "app", context])).cached).toEqual(["RUN echo one >/one"]);
  expect(await store.ok("run", "--rm", "app", "cat", "/two")).toBe("one\n");
});

test.each(["SIGINT", "SIGTERM"] as const)("%s ends a build, and leaves nothing of its step", async (signal) => {
  const context = writeContext(store.area.at("context"), {
    Dockerfile: "FROM base\nRUN echo first >/first\nRUN echo under way; sleep 10000\n",
  });
  const child = spawn(cowfsProgram, [
    "--root",
    store.path,
    "image",
    "build",
    "--progress",
    "plain",
    "-t",
    "app",
    context,
  ]);
  let said = "";
  child.stderr.on("data", (data: Buffer) => {
    said += data.toString();
  });
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  await until(() => said.includes("\nunder way\n") || child.exitCode !== null, "the program of the step");
  child.kill(signal);
  expect(await ended).toBe(signal === "SIGINT" ? 130 : 143);
  expect(said).toMatch(/cowfs: interrupted/);
  expect(
    existsSync(`${store.path}/images/names.json`) && (await store.ok("image", "ls", "-q")).trim().split("\n"),
  ).toHaveLength(1);
  writeFileSync(`${context}/Dockerfile`, "FROM base\nRUN echo first >/first\n");
  expect((await build(store, [context])).cached).toHaveLength(1);
});

test("what a killed build leaves is found, ended and removed by the check", async () => {
  const mark = randomUUID();
  const context = writeContext(store.area.at("context"), {
    Dockerfile: `FROM base\nRUN echo first >/first\nCOPY --from=base /etc /etc2\nRUN echo is under way; exec sh -c 'sleep 100000; :' ${mark}\n`,
  });
  const words = ["--root", store.path, "image", "build", "--progress", "plain", context];
  const child = spawn(cowfsProgram, words, { detached: true });
  let said = "";
  child.stderr.on("data", (data: Buffer) => {
    said += data.toString();
  });
  const ended = new Promise((resolve) => child.on("close", resolve));
  await until(() => said.includes("is under way\n") || child.exitCode !== null, "the program of the step");
  process.kill(-(child.pid ?? 0), "SIGKILL");
  await ended;
  const isRunning = async (): Promise<boolean> => (await attempt("pgrep", ["-f", mark])).status === 0;
  expect(await isRunning()).toBe(true);
  expect((await store.run(["system", "check"])).status).toBe(1);
  expect(await store.run(["system", "check", "--repair"])).toMatchObject({ status: 0, stderr: "" });
  expect(await isRunning()).toBe(false);
});

test("the cache is shown and pruned; what images have stays", async () => {
  const context = writeContext(store.area.at("context"), {
    Dockerfile: "FROM base\nRUN head -c 100000 /dev/zero >/kept\nRUN head -c 200000 /dev/zero >/gone\n",
  });
  await build(store, ["-t", "app", "--iidfile", store.area.at("id"), context]);
  writeFileSync(`${context}/Dockerfile`, "FROM base\nRUN head -c 100000 /dev/zero >/kept\n");
  const { id } = await build(store, ["-t", "app", context]);
  await store.ok("image", "prune", "-f");
  const cache = async () =>
    (
      JSON.parse(await store.ok("system", "df", "--json")) as { type: string; size: number; reclaimable: number }[]
    ).find(({ type }) => type === "Build Cache");
  expect(await cache()).toMatchObject({ size: 200_000, reclaimable: 200_000 });
  expect(await store.ok("system", "df", "-v")).toMatch(
    /Build Cache space usage:[\s\S]*200kB .*false +RUN head -c 200000/,
  );
  expect(await store.ok("system", "prune", "-f")).toMatch(
    /Deleted build cache objects:\n[\s\S]*Total reclaimed space: 200kB\n/,
  );
  expect(await cache()).toMatchObject({ size: 0 });
  expect(await build(store, ["-t", "app", context])).toMatchObject({
    id,
    cached: ["RUN head -c 100000 /dev/zero >/kept"],
  });
  // An image goes, and what it was built of stays until the cache goes, too.
  await store.ok("image", "rm", "app");
  expect(await cache()).toMatchObject({ size: 100_000 });
  await store.ok("system", "prune", "-f");
  expect(await cache()).toMatchObject({ size: 0 });
  expect(readdirSync(`${store.path}/layers`)).toHaveLength(1);
});

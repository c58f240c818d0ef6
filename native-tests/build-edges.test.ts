/** What surrounds a build does not come into its image, and what Dockerfiles seldom have works, too. */
import { spawn } from "node:child_process";
import { readdirSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, expect, test } from "vitest";
import { attemptBuild, build, writeContext } from "./harness/build.js";
import { command } from "./harness/command.js";
import { cowfsProgram } from "./harness/mounts.js";
import { Store, until } from "./harness/store.js";

let store: Store;

beforeEach(async () => {
  store = new Store();
  await store.busybox("base");
});

afterEach(async () => {
  expect(readdirSync(`${store.path}/tmp`)).toEqual([]);
  expect(await store.remove()).toEqual([]);
});

test("our umask does not decide about directories that are made on the way", async () => {
  const context = writeContext(store.area.at("context"), {
    Dockerfile: "FROM base\nWORKDIR /w/x\nCOPY file /c/d/\nRUN mkdir /r; stat -c '%a %n' /w /w/x /c /c/d /r >/modes\n",
    file: "",
  });
  const line = [cowfsProgram, "--root", store.path, "image", "build", "-q", "-t", "app", context];
  await command("sh", ["-c", 'umask 077; exec "$@"', "sh", ...line]);
  expect(await store.ok("run", "--rm", "app", "cat", "/modes")).toBe("755 /w\n755 /w/x\n755 /c\n755 /c/d\n755 /r\n");
});

test("arguments of a stage are those of a stage built on it", async () => {
  const context = writeContext(store.area.at("context"), {
    Dockerfile: [
      ...["FROM base AS parent", "ARG A=default", "ARG B=own"],
      ...["FROM parent", "ARG A", "COPY <<E+F /text", "$A $B", "E+F"],
    ].join("\n"),
  });
  await build(store, ["--build-arg", "A=given", "-t", "app", context]);
  expect(await store.ok("run", "--rm", "app", "cat", "/text")).toBe("given own\n");
});

test("what .dockerignore leaves out cannot be had by a link that it leaves out", async () => {
  const context = writeContext(store.area.at("context"), {
    Dockerfile: "FROM base\nCOPY link /\n",
    file: "content",
    ".dockerignore": "link\n",
  });
  symlinkSync("file", `${context}/link`);
  const failed = await attemptBuild(store, [context]);
  expect(failed.status).toBe(1);
  expect(failed.stderr).toContain("link is not in the build context: .dockerignore leaves it out\n");
});

test("a signal ends a build that reads a long file", async () => {
  const context = writeContext(store.area.at("context"), { Dockerfile: "FROM base\nCOPY long /\n" });
  writeFileSync(`${context}/long`, "");
  truncateSync(`${context}/long`, 2 ** 40);
  const child = spawn(cowfsProgram, ["--root", store.path, "image", "build", "--progress", "plain", context]);
  let said = "";
  child.stderr.on("data", (data: Buffer) => {
    said += data.toString();
  });
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  await until(() => said.includes("COPY long") || child.exitCode !== null, "the step");
  child.kill("SIGINT");
  expect(await ended).toBe(130);
  expect(said).toMatch(/cowfs: interrupted/);
});

/** What happens between the start of `cowfs mount` and a mount that answers: the launcher, the process that becomes the driver, signals. */
import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Script } from "node:vm";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Area } from "./harness/area.js";
import { attempt, type Ended, shell } from "./harness/command.js";
import { cowfs, cowfsProgram, mainScript, processEnd } from "./harness/mounts.js";
import { mountAt } from "./harness/namespace.js";

let area: Area;

beforeEach(() => {
  area = new Area();
  for (const name of ["l", "m"]) mkdirSync(area.at(name));
  writeFileSync(area.at("l", "one"), "1");
});

afterEach(async () => {
  expect(await area.remove()).toEqual([]);
});

const silent: Ended = { status: 0, stdout: "", stderr: "" };

/** An environment in which code runs in a driver before the program. `launcher` is the process id of the launcher there. */
function withCode(code: string): NodeJS.ProcessEnv {
  const path = area.at("before.cjs");
  writeFileSync(
    path,
    `if (/^--(launched|driver)$/.test(process.argv[2])) {
      const fs = require("node:fs");
      const launcher = process.ppid;
      fs.writeFileSync(${JSON.stringify(area.at("driver"))}, String(process.pid));
      const sleep = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
      // What the driver does last before it says that it is ready.
      const atTheEnd = (action) => {
        const chdir = process.chdir;
        process.chdir = (path) => (action(), chdir(path));
      };
      ${code}
    }`,
  );
  return { ...process.env, NODE_OPTIONS: `--require=${path}` };
}

/** Starts a mount whose driver runs `code` first. Resolves with how the launcher ended. */
function start(code: string, whenRunning: (launcher: number) => void = () => {}): Promise<string> {
  const child = spawn(cowfsProgram, ["mount", "--lower", "l", "--upper", "u", "m"], {
    cwd: area.path,
    env: withCode(code),
    stdio: ["ignore", "ignore", "inherit"],
  });
  whenRunning(child.pid ?? 0);
  return new Promise((resolve) => child.once("exit", (status, signal) => resolve(signal ?? String(status))));
}

async function nothingIsLeft(): Promise<void> {
  expect(await processEnd(driver() ?? 0, 60_000)).toBe(true);
  expect(mountAt(area.at("m"))).toBeUndefined();
  // The layers are free.
  expect(await cowfs(["mount", "--lower", "l", "--upper", "u", "m"], { cwd: area.path })).toEqual(silent);
  expect(await cowfs(["umount", area.at("m")])).toEqual(silent);
}

function driver(): number | undefined {
  try {
    return Number(readFileSync(area.at("driver"), "latin1"));
  } catch {
    return undefined;
  }
}

async function untilDriver(): Promise<void> {
  for (let tries = 0; tries < 600 && !driver(); tries++) await new Promise((resolve) => setTimeout(resolve, 50));
  expect(driver()).toBeGreaterThan(0);
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  test(`${signal} while the driver starts ends both`, async () => {
    let launcher = 0;
    const ended = start("sleep(60_000);", (pid) => {
      launcher = pid;
    });
    await untilDriver();
    process.kill(launcher, signal);
    expect(await ended).toBe(signal);
    await nothingIsLeft();
  });
}

test("a signal after mount(2), and before anybody knows of the mount, unmounts it", async () => {
  expect(await start('atTheEnd(() => { process.kill(launcher, "SIGTERM"); });')).toBe("SIGTERM");
  await nothingIsLeft();
});

test("a launcher that is killed before it knows of the mount takes the mount with it", async () => {
  const code = 'atTheEnd(() => { process.kill(launcher, "SIGKILL"); while (process.ppid === launcher) sleep(5); });';
  expect(await start(code)).toBe("SIGKILL");
  await nothingIsLeft();
});

test("a driver that ends before it is ready is reported: by its code, or by the signal", async () => {
  const run = (code: string) =>
    attempt(cowfsProgram, ["mount", "--lower", "l", "m"], { cwd: area.path, env: withCode(code) });
  expect(await run("process.exit(7);")).toEqual({ ...silent, status: 7 });
  expect(await run('process.kill(process.pid, "SIGKILL"); sleep(60_000);')).toEqual({
    status: 1,
    stdout: "",
    stderr: "cowfs: the driver ended before the mount was ready (killed by SIGKILL)\n",
  });
});

test("who reads what the command says is not kept waiting by the driver", async () => {
  const script = `"$0" mount --lower l --upper u | cat; "$0" mount --lower l m 2>&1 | cat; ls u.merged m`;
  const said = await attempt("bash", ["-ec", script, cowfsProgram], { cwd: area.path, timeout: 60_000 });
  expect(said).toEqual({ ...silent, stdout: `${area.at("u.merged")}\nm:\none\n\nu.merged:\none\n` });
  for (const name of ["m", "u.merged"]) expect(await cowfs(["umount", area.at(name)])).toEqual(silent);
});

test("closed standard descriptors", async () => {
  await shell(`"${cowfsProgram}" mount --lower l m <&- >&- 2>&-`, { cwd: area.path });
  expect(readdirSync(area.at("m"))).toEqual(["one"]);
  expect(await cowfs(["umount", area.at("m")])).toEqual(silent);
});

test("the driver is listed with its mountpoint, however that was named", async () => {
  const deep = area.at(...new Array<string>(8).fill("directory with a long name"));
  mkdirSync(deep, { recursive: true });
  mkdirSync(join(deep, "m"));
  expect(await cowfs(["mount", "--lower", area.at("l"), "m"], { cwd: deep })).toEqual(silent);
  const { stdout } = await cowfs(["mounts", "--json"]);
  const { pid } = (JSON.parse(stdout) as { mountpoint: string; pid: number }[]).find(
    ({ mountpoint }) => mountpoint === join(deep, "m"),
  ) ?? { pid: 0 };
  expect(readFileSync(`/proc/${pid}/cmdline`, "latin1").replace(/[\0 ]+$/, "")).toBe(`cowfs --driver ${deep}/m`);
  expect(await cowfs(["umount", join(deep, "m")])).toEqual(silent);
});

test("without the launcher: node dist/main.js", async () => {
  const main = (...args: string[]) => attempt(process.execPath, [mainScript, ...args], { cwd: area.path });
  expect(await main("mount", "--lower", "l", "--upper", "u", "m")).toEqual(silent);
  expect(readdirSync(area.at("m"))).toEqual(["one"]);
  expect(await main("mount", "--lower", "l", "--upper", "u", "l")).toMatchObject({ status: 1, stdout: "" });
  expect(await main("umount", "m")).toEqual(silent);
  expect(await main("mount", "--lower", "l")).toMatchObject({ status: 2, stdout: "" });
  // A word that only looks like --foreground: the launcher leaves the decision to main.js.
  mkdirSync(area.at("-f"));
  expect(await cowfs(["mount", "--lower", "-f:l", "m"], { cwd: area.path })).toEqual(silent);
  expect(readdirSync(area.at("m"))).toEqual(["one"]);
  expect(await main("umount", "m")).toEqual(silent);
});

test("V8 takes the compiled code that comes with the bundle", () => {
  const dist = dirname(mainScript);
  const bundle = readdirSync(dist).find((name) => /^program-.*\.js$/.test(name)) ?? "";
  const cachedData = readFileSync(join(dist, `${bundle}.cache`));
  const script = new Script(readFileSync(join(dist, bundle), "latin1"), { cachedData });
  expect(script.cachedDataRejected).toBe(false);
});

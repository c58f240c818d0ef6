/** The life of a driver: what ends it, what must not, and what waits for what. */
import { spawn } from "node:child_process";
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Area } from "./harness/area.js";
import { attempt, command, shell } from "./harness/command.js";
import { cowfs, cowfsProgram, processEnd } from "./harness/mounts.js";
import { mountInfo } from "./harness/namespace.js";

let area: Area;

beforeEach(() => {
  area = new Area();
  for (const name of ["l", "m"]) mkdirSync(area.at(name));
  writeFileSync(area.at("l", "small"), "small\n");
});

afterEach(async () => {
  expect(await area.remove()).toEqual([]);
});

/** Mounts, and returns the driver's process id. */
async function mount(...options: string[]): Promise<number> {
  const mounted = await cowfs(["mount", "--lower", "l", "--upper", "u", "--log", "log", ...options, "m"], {
    cwd: area.path,
  });
  expect(mounted).toMatchObject({ status: 0, stderr: "" });
  const { stdout } = await cowfs(["mounts", "--json"]);
  const list = JSON.parse(stdout) as { mountpoint: string; pid: number }[];
  return list.find((one) => one.mountpoint === area.at("m"))?.pid ?? 0;
}

/** Returns once the driver has ended. */
async function unmount(): Promise<void> {
  expect(await cowfs(["umount", area.at("m")])).toEqual({ status: 0, stdout: "", stderr: "" });
}

function isMounted(): boolean {
  return mountInfo().some((entry) => entry.mountpoint === area.at("m"));
}

function log(): string {
  return existsSync(area.at("log")) ? readFileSync(area.at("log"), "utf8") : "";
}

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; tries < 100 && !condition(); tries++) await new Promise((resolve) => setTimeout(resolve, 50));
  expect(condition()).toBe(true);
}

describe("the end of a driver", () => {
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
    test(`${signal} unmounts`, async () => {
      const pid = await mount();
      process.kill(pid, signal);
      expect(await processEnd(pid, 60_000)).toBe(true);
      expect(isMounted()).toBe(false);
    });
  }

  test("a signal detaches a mount that is in use, and open files go on working until they are closed", async () => {
    const pid = await mount();
    const fd = openSync(area.at("m", "small"), "r");
    process.kill(pid, "SIGTERM");
    await until(() => !isMounted());
    const buffer = Buffer.alloc(10);
    expect(readSync(fd, buffer)).toBe(6);
    expect(await processEnd(pid, 500)).toBe(false);
    closeSync(fd);
    expect(await processEnd(pid, 60_000)).toBe(true);
  });

  test("a second signal does not wait for open files", async () => {
    const pid = await mount();
    const fd = openSync(area.at("m", "small"), "r");
    process.kill(pid, "SIGTERM");
    await until(() => !isMounted());
    process.kill(pid, "SIGTERM");
    expect(await processEnd(pid, 60_000)).toBe(true);
    expect(() => readSync(fd, Buffer.alloc(10))).toThrow("ENOTCONN");
    expect(() => closeSync(fd)).toThrow("ENOTCONN");
  });

  test("an abort of the connection leaves no dead mount", async () => {
    const pid = await mount();
    const minor = mountInfo()
      .find((entry) => entry.mountpoint === area.at("m"))
      ?.device.split(":")[1];
    await shell(
      `mount -t fusectl none /sys/fs/fuse/connections 2>/dev/null || true; echo 1 > /sys/fs/fuse/connections/${minor}/abort`,
    );
    expect(await processEnd(pid, 60_000)).toBe(true);
    expect(isMounted()).toBe(false);
    expect(log()).toContain("aborted");
  });

  test("a killed driver's mount can be taken away and made again at once", async () => {
    const pid = await mount();
    process.kill(pid, "SIGKILL");
    expect(await processEnd(pid, 60_000)).toBe(true);
    expect(await attempt("ls", [area.at("m")])).toMatchObject({ status: 2 });
    const { stdout } = await cowfs(["mounts", "--json"]);
    expect(JSON.parse(stdout)).toContainEqual(expect.objectContaining({ mountpoint: area.at("m"), pid: null }));
    await unmount();
    await mount();
    expect(readFileSync(area.at("m", "small"), "utf8")).toBe("small\n");
    await unmount();
  });
});

describe("a big copy-up", () => {
  const size = 300 << 20;

  beforeEach(async () => {
    await shell(`head -c ${size} /dev/urandom > ${area.at("l", "big")}`);
  });

  test("delays nobody else", async () => {
    await mount();
    const append = shell(`echo end >> ${area.at("m", "big")}`);
    let longest = 0;
    let ended = false;
    void append.finally(() => {
      ended = true;
    });
    for (let i = 0; !ended; i++) {
      const start = performance.now();
      expect(() => statSync(area.at("m", `absent${i}`))).toThrow("ENOENT");
      longest = Math.max(longest, performance.now() - start);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await append;
    expect(longest).toBeLessThan(400);
    expect(statSync(area.at("m", "big")).size).toBe(size + 4);
    await shell(`cmp -n ${size} ${area.at("m", "big")} ${area.at("l", "big")}`);
    await unmount();
  });

  test("ends a killed caller at once, and the next one finds the copy", async () => {
    // Synced, so that the caller cannot have it before it is killed.
    await mount("-o", "fsync=strict");
    const start = performance.now();
    const killed = await attempt("timeout", ["-s", "KILL", "0.1", "truncate", "-s", "+1", area.at("m", "big")]);
    expect(killed.status).not.toBe(0);
    expect(performance.now() - start).toBeLessThan(1_000);
    await shell(`echo end >> ${area.at("m", "big")}`);
    expect(statSync(area.at("m", "big")).size).toBe(size + 4);
    await unmount();
  });

  test("a signal that a caller handles does not become EINTR", async () => {
    await mount();
    const program = `
import os, signal
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
os.chmod("${area.at("m", "big")}", 0o600)
signal.setitimer(signal.ITIMER_REAL, 0)
`;
    await command("python3", ["-c", program]);
    expect(statSync(area.at("m", "big")).mode & 0o777).toBe(0o600);
    await unmount();
  });
});

test.each([
  ["/dev", "l", "umount /dev"],
  ["/dev", "l", "kill $pid"],
  ["/etc", "l:/etc", "umount /etc"],
  ["/etc", "l:/etc", "kill $pid"],
  ["/run", "l", "kill $pid"],
  ["/sys", "l", "kill $pid"],
  // Programs run from it, the driver's own among them.
  ["/usr", "l:/usr", "umount -l /usr"],
  ["/usr", "l:/usr", "kill $pid"],
])("a mount over %s, of %s, serves and ends: %s", async (mountpoint, lower, end) => {
  // In namespaces of its own: whatever happens, the tests keep what they need.
  const script = `
    cd '${area.path}'
    '${cowfsProgram}' mount --lower ${lower} --upper u -o idle_poll=on ${mountpoint}
    python3 -c "import os; [os.path.exists(f'${mountpoint}/missing-{i}') for i in range(2000)]"
    cat ${mountpoint}/small
    echo new > ${mountpoint}/new
    pid=$(pgrep -f '^cowfs --driver')
    ${end}
    for tries in $(seq 100); do [ -e /proc/$pid ] || break; sleep 0.1; done
    cat u/new
    [ ! -e /proc/$pid ]`;
  const words = ["-m", "-p", "-f", "--kill-child", "--mount-proc", "/bin/bash", "-euc", script];
  expect(await command("unshare", words, { timeout: 30_000 })).toBe("small\nnew\n");
});

test.each(["/proc", "/proc/self", "/proc/sys"])("%s cannot be covered", async (mountpoint) => {
  const ended = await cowfs(["mount", "--lower", area.at("l"), "--upper", area.at("new"), mountpoint]);
  expect(ended).toMatchObject({ status: 1, stdout: "", stderr: expect.stringContaining("/proc cannot be covered") });
  expect(existsSync(area.at("new"))).toBe(false);
});

test("SIGUSR1 writes a status report into the log", async () => {
  const pid = await mount();
  expect(statSync(area.at("m", "small")).size).toBe(6);
  process.kill(pid, "SIGUSR1");
  await until(() => log().includes('"GETATTR"'));
  expect(log()).toContain('"nodes"');
  await unmount();
});

/** Needs PM QoS in the kernel, and a device that a container may not have. */
const latencyDevice = "/dev/cpu_dma_latency";
const hasLatencyDevice = ((): boolean => {
  try {
    closeSync(openSync(latencyDevice, constants.O_WRONLY));
    return true;
  } catch {
    return false;
  }
})();

describe("idle CPUs", () => {
  /** What status reports have said of it so far, the last one last. */
  const states = (): string[] => [...log().matchAll(/"idlePoll":"([^"]*)"/g)].map(([, state]) => state ?? "");
  const stateOf = async (pid: number): Promise<string> => {
    const before = states().length;
    process.kill(pid, "SIGUSR1");
    await until(() => states().length > before);
    return states().at(-1) ?? "";
  };
  const requests = "import os\nfor i in range(50000): os.path.exists(f'missing-{i}')\n";

  test.skipIf(!hasLatencyDevice)("poll while requests keep coming, and no longer", async () => {
    const pid = await mount("-o", "idle_poll=on");
    expect(await stateOf(pid)).toBe("not needed yet");
    const client = spawn("python3", ["-c", requests], { cwd: area.at("m"), stdio: "ignore" });
    const ended = new Promise((resolve) => client.on("exit", resolve));
    await until(() => readFileSync(latencyDevice).readInt32LE() === 0);
    expect(await ended).toBe(0);
    for (let tries = 0; tries < 100 && (await stateOf(pid)) === "held"; tries++);
    expect(states().at(-1)).toBe("released");
    await unmount();
  });

  test("are left alone with idle_poll=off, and the log says so", async () => {
    const pid = await mount("-o", "idle_poll=off", "--debug");
    await command("python3", ["-c", requests], { cwd: area.at("m") });
    expect(await stateOf(pid)).toBe("not wanted");
    expect(log()).toContain("idle CPUs sleep: not wanted");
    await unmount();
  });
});

describe("the transport fuse-native", () => {
  test("serves the same union", async () => {
    mkdirSync(area.at("l", "d"));
    writeFileSync(area.at("l", "d", "gone"), "x");
    await mount("--transport", "fuse-native");
    await shell(`
      cd ${area.at("m")}
      test "$(cat small)" = small
      echo more >> small
      test "$(cat small)" = "$(printf 'small\\nmore')"
      rm d/gone; mkdir new; mv new newer; ln -s target link; test "$(readlink link)" = target
      ln small other; chmod 600 other; test "$(stat -c %a:%h small)" = 600:2
      setfattr -n user.a -v b small; test "$(getfattr --only-values -n user.a small)" = b
      cp -r /usr/include/linux copy; diff -r /usr/include/linux copy; rm -r copy
      truncate -s 100 small; sync small
      test "$(LC_ALL=C ls -a | tr '\\n' ' ')" = ". .. d link newer other small "
    `);
    expect(readFileSync(area.at("l", "small"), "utf8")).toBe("small\n");
    expect(statSync(area.at("u", "small")).size).toBe(100);
    await unmount();
    await mount();
    expect((await command("ls", ["-A", area.at("m")])).split("\n")).toEqual([
      "d",
      "link",
      "newer",
      "other",
      "small",
      "",
    ]);
    await unmount();
  });

  test("ends on a signal", async () => {
    const pid = await mount("--transport", "fuse-native");
    process.kill(pid, "SIGTERM");
    expect(await processEnd(pid, 60_000)).toBe(true);
    expect(isMounted()).toBe(false);
  });
});

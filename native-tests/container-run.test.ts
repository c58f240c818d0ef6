/** Running containers: what the program finds, how it ends, and that nothing is left. Each runtime must do the same. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { attempt, command } from "./harness/command.js";
import { cowfsProgram } from "./harness/mounts.js";
import { mountInfo } from "./harness/namespace.js";
import { Store, until } from "./harness/store.js";

let store: Store;

beforeAll(async () => {
  store = new Store();
  await store.busybox("base");
  await store.image("words", [store.area.at("tree-base")], {
    Entrypoint: ["echo", "entry"],
    Cmd: ["command"],
    Env: ["PATH=/bin", "COLOUR=green", "SIZE=small"],
    WorkingDir: "/work/here",
    User: "user",
    Labels: { one: "1" },
  });
  // crun refuses to work where both kinds of cgroups are in use; here only this test sees them.
  await attempt("mount", ["-t", "cgroup2", "none", "/sys/fs/cgroup"]);
});

afterAll(async () => {
  await attempt("umount", ["/sys/fs/cgroup"]);
  expect(await store.remove()).toEqual([]);
});

const sh = (script: string): string[] => ["sh", "-c", script];

/** Whether a process has a file open whose path ends so. */
function hasOpen(pid: number | undefined, name: string): boolean {
  return readdirSync(`/proc/${pid}/fd`).some((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`).endsWith(name);
    } catch {
      return false;
    }
  });
}

/** A program that is talked with while it runs. */
class Talk {
  readonly child: ChildProcessWithoutNullStreams;
  heard = "";
  private readonly exit: Promise<number | null>;

  constructor(program: string, args: readonly string[]) {
    this.child = spawn(program, args, { stdio: "pipe" });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        this.heard += text;
      });
    }
    this.exit = new Promise((resolve) => this.child.once("close", resolve));
  }

  say(text: string): void {
    this.child.stdin.write(text);
  }

  async hears(text: string): Promise<void> {
    try {
      await until(() => this.heard.includes(text), JSON.stringify(text));
    } catch (cause) {
      throw new Error(`${this.child.spawnargs.join(" ")}: ${JSON.stringify(this.heard)}`, { cause });
    }
  }

  /** Its exit code; null if a signal ended it. */
  ended(): Promise<number | null> {
    return this.exit;
  }
}

for (const runtime of ["crun", "runc", "unshare"]) {
  describe(runtime, () => {
    const run = (words: readonly string[]) => store.run(["run", "--rm", "--runtime", runtime, ...words]);

    test("the program sees the image, namespaces of its own, and what it expects in /proc, /dev, /sys and /etc", async () => {
      const script = [
        "cat /etc/motd",
        "echo pid $$",
        "hostname",
        "cat /etc/hostname",
        "cat /etc/resolv.conf | cmp - /etc/resolv.conf && echo resolv",
        "grep -c box1 /etc/hosts",
        "test -c /dev/null && test -c /dev/urandom && test -d /dev/pts && test -d /dev/shm && echo dev",
        "test -d /sys/class && ! mkdir /sys/x 2>/dev/null && echo sys",
        "echo x >/dev/null; echo y >/dev/shm/y; stat -c %a /dev/shm",
        "ps | grep -c . ",
        "pwd; id",
      ].join("; ");
      const { status, stdout, stderr } = await run(["-h", "box1", "base", ...sh(script)]);
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      const lines = stdout.trim().split("\n");
      expect(lines.slice(0, 9)).toEqual([
        "from the image",
        "pid 1",
        "box1",
        "box1",
        "resolv",
        "1",
        "dev",
        "sys",
        "1777",
      ]);
      expect(Number(lines[9])).toBeLessThan(10);
      expect(lines.slice(10)).toEqual(["/", "uid=0(root) gid=0(root)"]);
    });

    test("no volume leads to the host through a symbolic link of /proc", async () => {
      const outside = store.area.at(`outside-${runtime}`);
      const ended = await run(["-v", `escape:/proc/self/root${outside}`, "base", "true"]);
      expect(existsSync(outside)).toBe(false);
      // runc follows the link within the container, the others refuse.
      expect(ended.status).toBe(runtime === "runc" ? 0 : 125);
      if (runtime === "unshare") expect(ended.stderr).toMatch(/a mount cannot lead through a symbolic link/);
    });

    test("exit codes: the program's, 128 and the signal, 125, 126, 127", async () => {
      expect((await run(["base", ...sh("exit 7")])).status).toBe(7);
      // The first process of a container is spared by signals that it does not expect; others are not.
      expect((await run(["base", ...sh("sh -c 'kill -USR1 $$; :'; exit $?")])).status).toBe(138);
      expect(await run(["base", "nosuch"])).toEqual({
        status: 127,
        stdout: "",
        stderr: 'cowfs: exec: "nosuch": executable file not found in $PATH\n',
      });
      expect((await run(["base", "/bin/nosuch"])).status).toBe(127);
      expect((await run(["base", "/etc"])).status).toBe(126);
      expect((await run(["base", "/etc/motd"])).status).toBe(126);
      expect((await run(["-u", "nobodyhere", "base", "true"])).status).toBe(125);
      // A wrong interpreter is found out by the kernel alone.
      expect((await run(["base", ...sh("echo '#!/nosuch' >/x; chmod 755 /x; exec /x")])).status).toBe(127);
    });

    test("user, groups, environment and directory are the image's, or what is asked for", async () => {
      expect((await run(["words"])).stdout).toBe("entry command\n");
      expect((await run(["words", "other", "words"])).stdout).toBe("entry other words\n");
      const look = "id; pwd; echo $COLOUR-$SIZE-$EXTRA-$HOME";
      expect((await run(["--entrypoint", "sh", "-e", "SIZE=big", "-e", "EXTRA=a b", "words", "-c", look])).stdout).toBe(
        "uid=1000(user) gid=1000(user) groups=50(extra)\n/work/here\ngreen-big-a b-/home/user\n",
      );
      expect((await run(["-u", "1234:extra", "-w", "/new/dir", "base", ...sh("id; pwd")])).stdout).toBe(
        "uid=1234 gid=50(extra)\n/new/dir\n",
      );
      // Node has an option of this name.
      writeFileSync(store.area.at("variables"), "# none\nSIZE=huge\nNODE_OPTIONS=--nosuch\n");
      const words = [
        "--env-file",
        store.area.at("variables"),
        "base",
        ...sh('echo $SIZE "$@"'),
        "sh",
        "--env-file",
        "/x",
      ];
      expect((await run(words)).stdout).toBe("huge --env-file /x\n");
    });

    test("root of a user namespace runs containers, too", async () => {
      const line = [cowfsProgram, "--root", store.path, "run", "--rm", "-h", "box", "--runtime", runtime, "base"];
      const program = sh("hostname; id -u; cat /etc/motd; echo x >/etc/motd && cat /etc/motd");
      const namespace = ["-Urm", "--propagation", "private"];
      expect(await attempt("unshare", [...namespace, ...line, ...program], { timeout: 60_000 })).toEqual({
        status: 0,
        stdout: "box\n0\nfrom the image\nx\n",
        stderr: "",
      });
    });

    test("with --read-only nothing of the root can be changed", async () => {
      const script = "echo x >/x || echo refused; echo y >/dev/shm/y && echo shm";
      expect((await run(["--read-only", "base", ...sh(`(${script}) 2>/dev/null`)])).stdout).toBe("refused\nshm\n");
    });

    test("--network none has a loopback and nothing else; --init is the first process, and hands on signals and codes", async () => {
      const looks = "tail -n +3 /proc/net/dev | wc -l; ifconfig lo | grep -c UP; cat /proc/1/comm; exit 7";
      const { status, stdout } = await run(["--network", "none", "--init", "base", ...sh(looks)]);
      expect(stdout).toMatch(/^1\n1\n(catatonit|docker-init|tini-static|init)\n$/);
      expect(status).toBe(7);
      const name = `init-${runtime}`;
      const script = "trap 'echo asked; exit 3' TERM; echo out; while :; do sleep 0.05; done";
      const options = ["--name", name, "--runtime", runtime, "--init", "--network", "none"];
      await store.ok("run", "-d", ...options, "base", ...sh(script));
      await until(async () => (await store.ok("logs", name)) === "out\n", "its output");
      expect(await store.ok("exec", name, "sh", "-c", "tail -n +3 /proc/net/dev | wc -l")).toBe("1\n");
      expect(await store.ok("restart", name)).toBe(`${name}\n`);
      await until(async () => (await store.ok("logs", name)) === "out\nasked\nout\n", "its output after a restart");
      expect(await store.ok("stop", name)).toBe(`${name}\n`);
      expect(await store.ok("wait", name)).toBe("3\n");
      await store.ok("rm", name);
    });

    test("the output of a detached container is its log; stop asks, kill kills, exec and wait", async () => {
      const name = `bg-${runtime}`;
      const script = "trap 'echo asked; exit 3' TERM; echo out; echo err >&2; while :; do sleep 0.05; done";
      const id = (await store.ok("run", "-d", "--name", name, "--runtime", runtime, "base", ...sh(script))).trim();
      expect(id).toMatch(/^[0-9a-f]{64}$/);
      expect(await store.ok("ps", "--format", "{{.Names}} {{.State}}", "-f", `name=${name}`)).toBe(`${name} running\n`);
      expect(
        await store.run(["exec", "-u", "user", "-e", "A=b", "-w", "/tmp", name, ...sh("id -u; pwd; echo $A; exit 9")]),
      ).toEqual({ status: 9, stdout: "1000\n/tmp\nb\n", stderr: "" });
      expect((await store.run(["exec", name, "nosuch"])).status).toBe(127);
      const piped = await attempt(
        "sh",
        ["-c", `echo through | "$0" --root "$1" exec -i ${name} cat`, cowfsProgram, store.path],
        { cwd: process.cwd() },
      );
      expect(piped).toEqual({ status: 0, stdout: "through\n", stderr: "" });
      const noted = join(store.root.containers, id, "log.times");
      await until(() => existsSync(noted) && /^8 \d+\n$/m.test(readFileSync(noted, "latin1")), "the times");
      expect(await store.ok("stop", name)).toBe(`${name}\n`);
      expect(await store.ok("wait", name)).toBe("3\n");
      // runc copies both through pipes of its own: only lines of one of them are in order.
      expect((await store.ok("logs", name)).split("\n").sort()).toEqual(["", "asked", "err", "out"]);
      expect(await store.ok("logs", "--tail", "1", name)).toBe("asked\n");
      const stamped = (await store.ok("logs", "-t", name)).split("\n").slice(0, -1);
      const times = stamped.map((line) => Date.parse(line.split(" ", 1)[0] ?? ""));
      expect(stamped.map((line) => line.replace(/^[-\d]+T[:.\d]+Z /, "")).sort()).toEqual(["asked", "err", "out"]);
      expect(times).toEqual([...times].sort((a, b) => a - b));
      const last = (times[2] as number) / 1000;
      expect(await store.ok("logs", "--since", String(last), name)).toBe("asked\n");
      expect(await store.ok("logs", "--until", String(last - 0.001), "-n", "1", name)).toMatch(/^(out|err)\n$/);
      expect(await store.ok("logs", "--since", "2100-01-01", name)).toBe("");
      await store.ok("start", name);
      await store.ok("kill", name);
      expect(await store.ok("wait", name)).toBe("137\n");
      expect((await store.run(["exec", name, "true"])).stderr).toBe(`cowfs: container ${name} is not running\n`);
      await store.ok("rm", name);
    });

    test("signals that the command gets are the program's", async () => {
      const script = "trap 'echo got; exit 4' USR1; echo ready; while :; do sleep 0.05; done";
      const shell = `"$0" --root "$1" run --rm --runtime ${runtime} base sh -c "${script}" >"$2" & pid=$!
        while ! grep -q ready "$2" 2>/dev/null; do sleep 0.05; done; kill -USR1 $pid; wait $pid; echo $?; cat "$2"`;
      const output = await command("sh", ["-c", shell, cowfsProgram, store.path, store.area.at(`signal-${runtime}`)], {
        cwd: process.cwd(),
      });
      expect(output).toBe("4\nready\ngot\n");
    });

    test("a terminal, when asked: of its own size, with keys that come through", async () => {
      const inner = `"${cowfsProgram}" --root ${store.path} run --rm -it --runtime ${runtime} base sh -c "tty >/dev/null && echo is-tty; stty size; read line; echo read:\\$line"`;
      const output = await attempt("script", ["-qec", `stty rows 33 cols 77; ${inner}`, "/dev/null"], {
        cwd: process.cwd(),
        input: "typed\n",
      });
      expect(output.stdout).toContain("is-tty");
      expect(output.stdout).toContain("read:typed");
      expect((await run(["-it", "base", "true"])).stderr).toContain("the input device is not a terminal");
      // Without a terminal here, it has one all the same.
      expect((await run(["-t", "base", "tty"])).stdout).toMatch(/^\/dev\//);
    });

    test("attach: a terminal of the size of this one, which is left by its keys, and taken up again to the end", async () => {
      const name = `tty-${runtime}`;
      const script = "while read line; do stty size; echo got:$line; test $line = end && exit 7; done";
      await store.ok("run", "-dit", "--rm", "--name", name, "--runtime", runtime, "base", ...sh(script));
      const without = { status: 2, stdout: "", stderr: expect.stringContaining("the input device is not a terminal") };
      expect(await store.run(["attach", name])).toEqual(without);
      const inner = `stty rows 33 cols 77; "${cowfsProgram}" --root ${store.path} attach ${name}; echo code:$?`;
      const attach = () => new Talk("script", ["-qec", inner, "/dev/null"]);
      const first = attach();
      first.say("one\n");
      await first.hears("33 77\r\ngot:one\r\n");
      // Handed on, since the second key does not follow.
      first.say("\x10x\n\x10");
      await first.hears("got:\x10x\r\n");
      first.say("\x11");
      await first.hears("code:0");
      expect(await first.ended()).toBe(0);
      const second = attach();
      const waiting = new Talk(cowfsProgram, ["--root", store.path, "wait", name]);
      await until(() => hasOpen(waiting.child.pid, "/end"), "the wait");
      second.say("end\n");
      await second.hears("got:end\r\n");
      await second.hears("code:7");
      expect(await second.ended()).toBe(0);
      expect(second.heard).not.toContain("got:one");
      expect(await waiting.ended()).toBe(0);
      expect(waiting.heard).toBe("7\n");
    });
  });
}

test("attach: input, output, signals and exit code of a container without a terminal; the end of the input is not the container's", async () => {
  const script =
    "read line; echo got:$line; trap 'echo asked; exit 9' USR1; echo trapped; while :; do sleep 0.05; done";
  await store.ok("run", "-di", "--name", "streams", "base", ...sh(script));
  const attach = (...words: string[]) => new Talk(cowfsProgram, ["--root", store.path, "attach", ...words, "streams"]);
  const [both, output] = [attach(), attach("--no-stdin", "--sig-proxy=false")];
  both.say("one\n");
  both.child.stdin.end();
  await both.hears("trapped\n");
  output.child.kill("SIGTERM");
  expect(await output.ended()).toBeNull();
  expect(await store.ok("ps", "-q", "-f", "name=streams")).not.toBe("");
  both.child.kill("SIGUSR1");
  expect(await both.ended()).toBe(9);
  expect(both.heard).toBe("got:one\ntrapped\nasked\n");
  const failed = (stderr: string) => ({ status: 1, stdout: "", stderr: `cowfs: ${stderr}\n` });
  expect(await store.run(["attach", "streams"])).toEqual(failed("container streams does not run: start it first"));
  await store.ok("rm", "streams");
  const foreground = new Talk(cowfsProgram, [
    "--root",
    store.path,
    "run",
    "--rm",
    "--name",
    "fore",
    "base",
    "sleep",
    "1000",
  ]);
  await until(async () => (await store.ok("ps", "-q", "-f", "name=fore")) !== "", "the container");
  const why = `container fore runs in the foreground of process ${foreground.child.pid}, and has no log`;
  expect(await store.run(["attach", "fore"])).toEqual(failed(why));
  await store.ok("kill", "fore");
  expect(await foreground.ended()).toBe(137);
});

test("nothing is left of all these: no container, no mount, no process, no state of a runtime", async () => {
  expect(await store.ok("ps", "-aq")).toBe("");
  expect(readdirSync(store.root.containers)).toEqual([]);
  expect(readdirSync(store.root.containerNames)).toEqual([]);
  expect(readdirSync(store.root.locks)).toEqual(["store"]);
  expect(readdirSync(store.root.temporary)).toEqual([]);
  expect(mountInfo().filter(({ mountpoint }) => mountpoint.startsWith(store.path))).toEqual([]);
  expect(existsSync("/run/crun") ? readdirSync("/run/crun") : []).toEqual([]);
  expect(readFileSync("/proc/mounts", "latin1")).not.toContain(store.path);
});

// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are variables of a Dockerfile
/** Instructions of Dockerfiles, and what is wrong with them; images that come out the same, and run elsewhere. */
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, expect, test } from "vitest";
import { attemptBuild, build, configOf, writeContext } from "./harness/build.js";
import { attempt, command } from "./harness/command.js";
import { cowfsProgram } from "./harness/mounts.js";
import { Store } from "./harness/store.js";

let store: Store;

beforeEach(async () => {
  store = new Store();
});

afterEach(async () => {
  expect(readdirSync(`${store.path}/tmp`)).toEqual([]);
  expect(await store.remove()).toEqual([]);
});

test("each instruction does what it says", async () => {
  await store.busybox("base", { Cmd: ["of the base"], Entrypoint: ["/bin/none"], Labels: { below: "1" } });
  const context = writeContext(store.area.at("context"), {
    Dockerfile: [
      "ARG TAG=latest",
      "FROM base:${TAG} AS stage",
      "MAINTAINER somebody",
      "ARG TAG",
      "ARG NAME=preset OTHER",
      'ENV ONE=$NAME TWO="${OTHER:-none} $TAG" THREE=\\$x',
      "ENV FOUR four words here",
      "LABEL a=1 \"b c\"='$NAME'",
      "USER user:extra",
      "WORKDIR /home",
      "WORKDIR made/$NAME",
      'SHELL ["/bin/sh", "-ec"]',
      "RUN echo user >/home/made/given/file",
      "FROM stage",
      "USER 0",
      "RUN env | grep -E 'ONE|NAME|HOSTNAME' | sort >/env; id -u >>/env; pwd >>/env",
      'RUN ["sh", "-c", "echo $0 >>/env", "$ONE"]',
      "RUN <<EOF",
      "if true; then",
      "  echo script $ONE >>/env",
      "fi",
      "EOF",
      "RUN cat <<EOF >>/env && cat <<'EOF2' >>/env",
      "first $ONE",
      "EOF",
      "second $ONE",
      "EOF2",
      "EXPOSE 80 8000-8001 443/udp",
      "VOLUME /data /more",
      "STOPSIGNAL SIGINT",
      "HEALTHCHECK --interval=1m30s --retries=3 CMD true",
      'ENTRYPOINT ["cat"]',
      'CMD ["/env"]',
    ].join("\n"),
  });
  await build(store, ["-t", "app", "--build-arg", "NAME=given", context]);
  const { config } = await configOf(store, "app");
  expect(config).toMatchObject({
    Env: ["PATH=/bin", "ONE=given", "TWO=none latest", "THREE=$x", "FOUR=four words here"],
    Labels: { below: "1", a: "1", "b c": "$NAME" },
    User: "0",
    WorkingDir: "/home/made/given",
    Shell: ["/bin/sh", "-ec"],
    ExposedPorts: { "80/tcp": {}, "8000/tcp": {}, "8001/tcp": {}, "443/udp": {} },
    Volumes: { "/data": {}, "/more": {} },
    StopSignal: "SIGINT",
    Healthcheck: { Test: ["CMD-SHELL", "true"], Interval: 90e9, Retries: 3 },
    Entrypoint: ["cat"],
    Cmd: ["/env"],
  });
  expect(await store.ok("run", "--rm", "app")).toBe(
    [
      "HOSTNAME=build",
      "NAME=given",
      "ONE=given",
      "0",
      "/home/made/given",
      "$ONE",
      "script given",
      "first given",
      "second $ONE",
      "",
    ].join("\n"),
  );
  expect(await store.ok("run", "--rm", "app", "/home/made/given/file")).toBe("user\n");

  // An entry point takes the command of the image below away; what ONBUILD says happens in the next build.
  writeContext(context, {
    Trigger: "FROM app\nONBUILD COPY file /triggered\nONBUILD RUN echo more >>/triggered\nENTRYPOINT cat\n",
    Triggered: 'FROM trigger\nRUN cp /triggered /copy\nENTRYPOINT ["cat"]\nCMD ["/copy"]',
    file: "file\n",
  });
  await build(store, ["-t", "trigger", "-f", `${context}/Trigger`, context]);
  expect((await configOf(store, "trigger")).config).toMatchObject({ Cmd: null, Entrypoint: ["/bin/sh", "-ec", "cat"] });
  await build(store, ["-t", "triggered", "-f", `${context}/Triggered`, context]);
  expect(await store.ok("run", "--rm", "triggered")).toBe("file\nmore\n");
  expect((await configOf(store, "triggered")).config?.["OnBuild"]).toBe(null);
});

test("what is wrong is said with its line, before anything is built where it can be; no image is made", async () => {
  await store.busybox("base");
  const context = writeContext(store.area.at("context"), { file: "x", "dir/file": "y" });
  const bad: readonly (readonly [string, RegExp])[] = [
    ["FROM base\nRUN true\nFETCH x", /^cowfs: D:3: FETCH x: FETCH is no instruction: there are ADD, /],
    ["RUN true", /^cowfs: D:1: RUN true: only ARG may stand before the first FROM/],
    ["FROM base\nRUN true\nCOPY file", /^cowfs: D:3: COPY file: COPY takes at least two paths: SOURCE… DESTINATION/],
    ["FROM base\nRUN true\nCOPY --from=7 a b", /^cowfs: D:3: .*: there is no stage 7 before this one/],
    ["FROM base\nCOPY --from=nobody a b", /D:2: .*: there is no image nobody/],
    ["FROM nothing", /D:1: FROM nothing: there is no image nothing/],
    ["FROM base\nCOPY missing /x", /D:2: .*: missing is not in the build context/],
    ["FROM base\nCOPY *.none /x", /D:2: .*: no file in the build context is like \*\.none/],
    [
      "FROM base\nCOPY file dir /x",
      /D:2: .*: with 2 sources the destination must be a directory, and end with a slash/,
    ],
    ["FROM base\nCOPY file /etc/passwd/x", /D:2: COPY file \/etc\/passwd\/x: /],
    ["FROM base\nCOPY dir /etc/passwd", /D:2: COPY dir \/etc\/passwd: /],
    ["FROM base\nCOPY --chown=nobody-knows file /x", /D:2: .*: unable to find user nobody-knows/],
    ["FROM base\nCOPY --chmod=u+x file /x", /D:2: .*: --chmod takes three or four octal digits/],
    ["FROM base\nADD http://localhost/x /x", /^cowfs: D:2: .*: nothing is fetched from the network/],
    ["FROM base\nRUN --mount=type=cache,target=/x true", /^cowfs: D:2: .*cowfs does not know RUN --mount/],
    ["FROM base\nENV A", /D:2: ENV A: ENV takes NAME=VALUE/],
    ["FROM base\nEXPOSE 99999", /D:2: EXPOSE 99999: EXPOSE takes PORT/],
    ["FROM base\nENV A=${B", /D:2: .*: \$\{B takes } or one of/],
    ['FROM base\nENV A="x', /D:2: .*: the quote " is not closed/],
    ["FROM base\nSTOPSIGNAL NOTHING", /D:2: .*: STOPSIGNAL takes a signal/],
    ["FROM base\nSHELL /bin/sh", /D:2: .*: SHELL takes a list/],
    ["FROM base\nHEALTHCHECK --interval=x CMD y", /D:2: .*: --interval takes a time/],
    ['FROM base\nRUN ["/none"]', /D:2: .*"\/none": no such file or directory/],
    ["FROM base\nUSER nobody-knows\nRUN true", /D:3: RUN true: unable to find user nobody-knows/],
    ["FROM scratch\nRUN true", /D:2: RUN true: exec: "\/bin\/sh": no such file or directory/],
  ];
  for (const [text, message] of bad) {
    writeFileSync(store.area.at("D"), text);
    const { status, stdout, stderr } = await attempt(
      cowfsProgram,
      ["--root", store.path, "image", "build", "-q", "-t", "never", "-f", "D", context],
      { cwd: store.area.path, timeout: 120_000 },
    );
    const said = Buffer.from(stderr, "latin1").toString();
    expect([text, status, stdout, said]).toEqual([text, 1, "", expect.stringMatching(message)]);
  }
  expect((await store.ok("image", "ls", "-aq")).trim().split("\n")).toHaveLength(1);
  const usage = await attemptBuild(store, ["--target", "none", "-f", "-", context]);
  expect(usage).toMatchObject({
    status: 1,
    stderr: "cowfs: Dockerfile has no instructions: it begins with FROM IMAGE\n",
  });
  expect(await store.run(["image", "build", "--progress", "loud", context])).toMatchObject({ status: 2 });
  expect(await store.run(["image", "build", store.area.at("nowhere")])).toMatchObject({
    status: 1,
    stderr: expect.stringMatching(/is no directory/),
  });
});

const epoch = { SOURCE_DATE_EPOCH: "1700000000" };

test("the same input gives the same digests, with and without the cache, in another data root", async () => {
  const context = writeContext(store.area.at("context"), {
    Dockerfile: "FROM base\nRUN mkdir /made && date >/dev/null && echo x >/made/x\nCOPY . /app\nWORKDIR /new\nCMD x\n",
    file: "file",
  });
  const tree = store.area.at("tree");
  await store.busybox("base");
  await store.ok("image", "save", "-o", tree, "base");
  const first = await build(store, [context], epoch);
  expect((await build(store, ["--no-cache", context], epoch)).id).toBe(first.id);
  const { created, history } = await configOf(store, first.id);
  expect([created, ...new Set(history?.slice(1).map((entry) => entry.created))]).toEqual(
    Array(2).fill(new Date(1_700_000_000_000).toISOString()),
  );
  const other = new Store();
  try {
    await other.ok("image", "load", "-q", "-i", tree);
    const again = await build(other, ["--build-arg", "SOURCE_DATE_EPOCH=1700000000", context]);
    expect(again).toMatchObject({ id: first.id, cached: [] });
    expect((await configOf(other, again.id)).rootfs.diff_ids).toHaveLength(4);
    const times = await other.ok("run", "--rm", again.id, "stat", "-c", "%Y", "/made/x", "/app", "/new", "/app/file");
    expect(new Set(times.trim().split("\n"))).toEqual(new Set(["1700000000"]));
  } finally {
    expect(await other.remove()).toEqual([]);
  }
});

test.skipIf(!existsSync("/usr/bin/podman"))("podman loads and runs what is built (needs podman)", async () => {
  await store.busybox("base");
  const context = writeContext(store.area.at("context"), {
    Dockerfile:
      'FROM base\nRUN rm /etc/motd && mkdir /d && echo run >/d/run\nCOPY file /d/\nRUN rm -r /d && mkdir /d && echo again >/d/again\nENV A=b\nWORKDIR /d\nHEALTHCHECK NONE\nENTRYPOINT ["sh", "-c"]\nCMD ["pwd; ls /d /etc; echo $A"]\n',
    file: "x",
  });
  await build(store, ["-t", "example/app:1", context]);
  const expected = await store.ok("run", "--rm", "example/app:1");
  expect(expected).toMatch(/^\/d\n\/d:\nagain\n\n\/etc:\n[\s\S]*\nb\n$/);
  expect(expected).not.toMatch(/motd/);
  await store.ok("image", "save", "-o", store.area.at("app.tar"), "example/app:1");
  const own = [
    "--root",
    store.area.at("podman"),
    "--runroot",
    store.area.at("podman-run"),
    "--storage-driver",
    "overlay",
  ];
  const podman = (...words: string[]): Promise<string> =>
    command(
      "podman",
      [...own, "--cgroup-manager", "cgroupfs", "--events-backend", "none", "--runtime", "runc", ...words],
      {
        timeout: 120_000,
      },
    );
  // Two limits, which podman would raise beyond what it may; runc works with whatever cgroups there are.
  const limits = ["--ulimit", "nofile=1000:1000", "--ulimit", "nproc=1000:1000", "--network", "none"];
  try {
    await podman("load", "-q", "-i", store.area.at("app.tar"));
    // What each runtime mounts there is not of the image.
    const files = (text: string): string[] =>
      text.split("\n").filter((line) => !/^(hostname|hosts|resolv.conf|mtab)$/.test(line));
    expect(files(await podman("run", "--rm", ...limits, "localhost/example/app:1"))).toEqual(files(expected));
  } finally {
    // It mounts its own directory, so that what is below is private.
    await attempt("umount", [store.area.at("podman/overlay")]);
  }
});

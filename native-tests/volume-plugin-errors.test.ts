/** Volume plugins that are wrong in every way, and those that are found in every way: clear messages, nothing left, and all else goes on. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { attempt, type Ended, shell } from "./harness/command.js";
import { cowfsProgram } from "./harness/mounts.js";
import { mountAt } from "./harness/namespace.js";
import { Store } from "./harness/store.js";
import { type Behaviour, VolumePlugin } from "./harness/volume-plugin.js";

let store: Store;
let plugin: VolumePlugin;
let good: VolumePlugin;

beforeAll(async () => {
  store = new Store();
  process.env["COWFS_PLUGIN_DIRS"] = store.area.at("plugins");
  mkdirSync(store.area.at("plugins"));
  plugin = new VolumePlugin(store.area.at("bad"), store.area.at("plugins", "bad.sock"));
  good = new VolumePlugin(store.area.at("good"), store.area.at("plugins", "good.sock"));
  await Promise.all([plugin.start(), good.start()]);
  await store.busybox("base");
  await store.ok("volume", "create", "-d", "bad", "vol");
});

afterEach(() => {
  plugin.behave({});
  delete process.env["COWFS_PLUGIN_TIMEOUT"];
});

afterAll(async () => {
  await Promise.all([plugin.kill(), good.kill()]);
  expect(await store.remove()).toEqual([]);
});

const body = (text: string) => ({ status: 200, body: text });
const mountpoint = (path: unknown) => body(JSON.stringify({ Mountpoint: path }));
const said = (stdout: string, stderr = ""): Ended => ({ status: 0, stdout, stderr });
const failed = (status: number, message: string): Ended => ({ status, stdout: "", stderr: `cowfs: ${message}\n` });

/** Nothing is half-built, written, mounted or on record as used. */
function expectNothingLeft(): void {
  expect(readdirSync(store.root.temporary)).toEqual([]);
  expect(existsSync(store.root.volumeUses) ? readdirSync(store.root.volumeUses) : []).toEqual([]);
  expect(mountAt(store.area.at("bad", "mnt", "vol"))).toBeUndefined();
  expect(existsSync(store.area.at("out"))).toBe(false);
}

/** Answers that hold for any call: how, and what is said of it. */
const useless: [string, Behaviour[string], string][] = [
  ["an error of its own", body('{"Err": "no\\n  \\u001bdisk"}'), "no ?disk"],
  ["HTTP status 500", { status: 500, body: "<b>oops</b>" }, "HTTP status 500: <b>oops</b>"],
  ["HTTP status 404, with an error", { status: 404, body: '{"Err":"what?"}' }, "HTTP status 404: what?"],
  ["no JSON", body("hello there"), "its answer is no JSON object: hello there"],
  ["a list", body("[]"), "its answer is no JSON object: []"],
  ["nothing", body(""), "its answer is empty"],
  ["what is nested deeply", body(`{"x":${"[".repeat(4000)}${"]".repeat(4000)}}`), "its answer is nested too deeply"],
  ["an error that is a number", body('{"Err": 7}'), '"Err" in its answer is no text'],
  ["a closed connection", "close", "it closed the connection before its answer was complete"],
  ["half an answer", "half an answer", "it closed the connection before its answer was complete"],
  ["what is no HTTP", "no HTTP", "what it answers is no HTTP"],
  ["an answer without end", "huge", "its answer is longer than 8 MiB"],
];

describe("Mount", () => {
  const lies: typeof useless = [
    ["no mountpoint", body("{}"), 'its answer has no "Mountpoint"'],
    ["a mountpoint that is a number", mountpoint(7), '"Mountpoint" in its answer is no text'],
    ["a relative mountpoint", mountpoint("tmp"), 'its mountpoint tmp is no absolute path without ".."'],
    ["a mountpoint with ..", mountpoint("/tmp/../etc"), 'its mountpoint /tmp/../etc is no absolute path without ".."'],
    [
      "a mountpoint that is missing",
      mountpoint("/nowhere/at"),
      "its mountpoint /nowhere/at: ENOENT: no such file or directory",
    ],
    ["a mountpoint that is a file", mountpoint("/etc/passwd"), "its mountpoint /etc/passwd is no directory"],
    ["a mountpoint in the data root", mountpoint("$ROOT//layers/."), "its mountpoint $ROOT/layers is in the data root"],
  ];
  test.each([...useless, ...lies])("%s", async (_, wrong, said) => {
    const [how, why] = [wrong, said].map((one) => JSON.parse(JSON.stringify(one).replaceAll("$ROOT", store.path))) as [
      Behaviour[string],
      string,
    ];
    // It may have mounted all the same, unless it says that it has not.
    const isRefused = /^(no \?disk|HTTP status)/.test(why);
    plugin.behave({ "VolumeDriver.Mount": isRefused ? how : (["done", how] as Behaviour[string]) });
    expect(await store.run(["volume", "export", "vol", "-o", store.area.at("out")])).toEqual(
      failed(1, `volume plugin bad: VolumeDriver.Mount of vol: ${why}`),
    );
    expect(plugin.mounts().map((line) => line.split(" ")[0])).toEqual(isRefused ? ["Mount"] : ["Mount", "Unmount"]);
    expectNothingLeft();
  });

  test("no answer in time", async () => {
    plugin.behave({ "VolumeDriver.Mount": ["done", "hang"] });
    process.env["COWFS_PLUGIN_TIMEOUT"] = "8";
    expect(await store.run(["run", "--rm", "-v", "vol:/data", "base", "true"])).toEqual(
      failed(125, "volume plugin bad: VolumeDriver.Mount of vol: no answer within 8 seconds"),
    );
    expectNothingLeft();
  });

  test("an interruption does not wait for a plugin that hangs", async () => {
    plugin.calls();
    plugin.behave({ "VolumeDriver.Mount": ["done", "hang"] });
    const script = `"$0" --root "$1" run --rm -v vol:/data base true & pid=$!
      until grep -q /VolumeDriver.Mount "$2" 2>/dev/null; do sleep 0.05; done; kill "$pid"; wait "$pid"`;
    const calls = store.area.at("bad/calls");
    expect(await attempt("sh", ["-c", script, cowfsProgram, store.path, calls], { timeout: 100_000 })).toEqual(
      failed(125, "volume plugin bad: VolumeDriver.Mount of vol: interrupted"),
    );
    expectNothingLeft();
  });

  test("a container, and cowfs mount -v", async () => {
    plugin.behave({ "VolumeDriver.Mount": ["done", mountpoint("tmp")] });
    const message = 'volume plugin bad: VolumeDriver.Mount of vol: its mountpoint tmp is no absolute path without ".."';
    expect(await store.run(["run", "--rm", "-v", "vol:/data", "base", "true"])).toEqual(failed(125, message));
    expect(await store.ok("ps", "-aq")).toBe("");
    const [lower, merged] = [store.area.at("tree-base"), store.area.at("merged")];
    mkdirSync(merged);
    expect(await store.run(["mount", "--lower", lower, "-v", "vol:/tmp", merged])).toEqual(failed(1, message));
    expect(mountAt(merged)).toBeUndefined();
    expectNothingLeft();
  });
});

test.each(useless)("Create: %s", async (_, how, why) => {
  plugin.behave({ "VolumeDriver.Create": how });
  expect(await store.run(["volume", "create", "-d", "bad", "new"])).toEqual(
    failed(1, `volume plugin bad: VolumeDriver.Create of new: ${why}`),
  );
  expect(readdirSync(store.root.volumes)).toEqual(["vol"]);
  expectNothingLeft();
});

describe("whoever only looks around goes on", () => {
  const around: [string, Behaviour, string][] = [
    ["another kind of plugin", { "Plugin.Activate": body('{"Implements": ["NetworkDriver"]}') }, ""],
    ["no manifest", { "Plugin.Activate": body("{}") }, 'Plugin.Activate: "Implements" in its answer is no list'],
    [
      "a list that is none",
      { "VolumeDriver.List": body('{"Volumes": 7}') },
      'VolumeDriver.List: "Volumes" in its answer is no list',
    ],
    [
      "a volume whose name cannot be shown, beside another one",
      { "VolumeDriver.List": body('{"Volumes": [{"Name": "a\\u0007b"}, {"Name": "vol"}]}') },
      "VolumeDriver.List: a volume in its answer has no name that could be one",
    ],
    ["an error", { "VolumeDriver.List": body('{"Err": "ill"}') }, "VolumeDriver.List: ill"],
    [
      "a closed connection",
      { "Plugin.Activate": "close" },
      "Plugin.Activate: it closed the connection before its answer was complete",
    ],
  ];
  test.each(around)("ls: %s", async (_, how, why) => {
    await store.ok("volume", "create", "-d", "good", "fine");
    plugin.behave(how);
    const warning = why === "" ? "" : `cowfs: warning: volume plugin bad: ${why}\n`;
    expect(await store.run(["volume", "ls"])).toEqual(
      said("DRIVER    VOLUME NAME\ngood      fine\nbad       vol\n", warning),
    );
    expect(await store.ok("volume", "rm", "fine")).toBe("fine\n");
  });

  test("a name without a driver is looked for at all plugins", async () => {
    plugin.behave({ "Plugin.Activate": "close" });
    const run = await store.run(["run", "--rm", "-v", "fresh:/d", "base", "sh", "-c", "echo > /d/x"]);
    const why = "it closed the connection before its answer was complete";
    expect(run).toEqual(said("", `cowfs: warning: volume plugin bad: Plugin.Activate: ${why}\n`));
    expect(await store.ok("volume", "rm", "fresh")).toBe("fresh\n");
    plugin.behave({ "VolumeDriver.Create": body('{"Err": "full"}') });
    const wanted = ["--mount", "src=new,dst=/x,volume-driver=bad"];
    expect(await store.run(["run", ...wanted, "base", "true"])).toEqual(
      failed(125, "volume plugin bad: VolumeDriver.Create of new: full"),
    );
    expect(await store.ok("ps", "-aq")).toBe("");
    expectNothingLeft();
  });

  test("a plugin that hangs", async () => {
    plugin.behave({ "Plugin.Activate": "hang" });
    process.env["COWFS_PLUGIN_TIMEOUT"] = "8";
    const silent = "volume plugin bad: Plugin.Activate: no answer within 8 seconds";
    const [list, inspected] = await Promise.all([
      store.run(["volume", "ls", "-q"]),
      store.run(["volume", "inspect", "-f", "{{.Name}}", "vol"]),
    ]);
    expect(list).toEqual(said("vol\n", `cowfs: warning: ${silent}\n`));
    expect(inspected).toEqual(failed(1, silent));
  });

  test("inspect: a volume that is another's, and one that is no object", async () => {
    const about = (volume: unknown): Behaviour => ({ "VolumeDriver.Get": body(JSON.stringify({ Volume: volume })) });
    for (const [volume, why] of [
      [{ Name: "other" }, "its answer is about other"],
      [7, "a volume in its answer is no object"],
      [{ Name: "vol", Mountpoint: "x" }, 'its mountpoint x is no absolute path without ".."'],
      [null, "no such volume"],
    ] as const) {
      plugin.behave(about(volume));
      expect(await store.run(["volume", "inspect", "-f", "{{.Name}}", "vol"])).toEqual(
        failed(1, `volume plugin bad: VolumeDriver.Get of vol: ${why}`),
      );
    }
  });

  test("an old plugin without scopes and Get, which says no path of what is not mounted; fields in other letters", async () => {
    const inspected = (): Promise<string> =>
      store.ok("volume", "inspect", "-f", "{{.Scope}} {{.Mountpoint}} {{.Status.a}}", "vol");
    plugin.behave({
      "VolumeDriver.Capabilities": body('{"Capabilities": {"Scope": "GLOBAL"}}'),
      "VolumeDriver.Get": body('{"Volume": {"Name": "vol", "Status": {"a": 1}}}'),
      "VolumeDriver.Path": body('{"Err": "vol is not mounted"}'),
    });
    expect(await inspected()).toBe("global  1\n");
    plugin.behave({
      "VolumeDriver.Capabilities": { status: 404, body: "404 page not found" },
      "VolumeDriver.Get": body('{"volume": {"name": "vol", "mountpoint": "/x", "status": {"a": 1}}, "err": ""}'),
    });
    expect(await inspected()).toBe("local /x 1\n");
    plugin.behave({ "VolumeDriver.Capabilities": body("what?") });
    expect(await store.run(["volume", "ls", "-f", "driver=bad", "--format", "{{.Name}} {{.Scope}}"])).toEqual(
      said("vol local\n"),
    );
  });
});

describe("a plugin that dies", () => {
  test("while a container runs: stop works, and what it missed it is told later", async () => {
    const run = ["run", "-d", "--name", "orphan", "-v", "vol:/data", "base", "sleep", "1000"];
    const id = (await store.ok(...run)).trim();
    await plugin.kill();
    process.env["COWFS_PLUGIN_TIMEOUT"] = "0.1";
    const message = `volume plugin bad: VolumeDriver.Unmount of vol: nobody listens at ${plugin.socket}`;
    const activate = message.replace("VolumeDriver.Unmount of vol", "Plugin.Activate");
    const warned = `cowfs: warning: ${activate}\n`;
    expect(await store.run(["stop", "-t", "0", "orphan"])).toEqual(said("orphan\n", warned));
    expect((await store.run(["start", "orphan"])).stderr).toContain(activate);
    expect((await store.run(["volume", "ls", "-q"])).stdout).toBe("vol\n");
    expect(await store.ok("inspect", "-f", "{{.State.Error}}", "orphan")).toBe(`${activate}\n`);
    expect(await store.run(["rm", "orphan"])).toEqual(said("orphan\n", warned));
    expect(await store.run(["volume", "rm", "vol"])).toEqual(failed(1, activate));
    expect((await store.run(["system", "check", "--repair"])).stdout).toContain(
      `no longer has it (${activate} (tell it`,
    );
    delete process.env["COWFS_PLUGIN_TIMEOUT"];
    plugin.calls();
    await plugin.start();
    // The plugin has forgotten it, and says so; that is the end of it.
    const repaired = await store.run(["system", "check", "--repair"]);
    expect(repaired.stdout).toMatch(/^mended: volume vol: [^\n]*\n1 found, 1 mended, 0 left\n$/);
    const forgotten = `volume plugin bad: VolumeDriver.Unmount of vol: vol is not mounted for ${id}`;
    expect({ ...repaired, stdout: "" }).toEqual(said("", `cowfs: warning: ${forgotten}\n`));
    expect(plugin.mounts()).toEqual([`Unmount vol ${id}`]);
    await shell(`umount ${store.area.at("bad/mnt/vol")}`);
    expectNothingLeft();
    expect(await store.ok("system", "check")).toBe("ok: nothing is wrong\n");
  });

  test("what it has forgotten because the machine was restarted is no problem", async () => {
    const id = (await store.ok("run", "-d", "-v", "vol:/data", "base", "sleep", "1000")).trim();
    const file = store.area.at("root/volume-uses", id, "vol.json");
    writeFileSync(file, readFileSync(file, "utf8").replace(/"boot": "[^"]*"/, '"boot": "another"'));
    plugin.behave({ "VolumeDriver.Unmount": ["done", body('{"Err": "never heard of it"}')] });
    expect(await store.ok("rm", "-f", id)).toBe(`${id}\n`);
    expectNothingLeft();
  });

  test("one that refuses to unmount: stop and rm -f say so, and that is the end of it", async () => {
    plugin.behave({ "VolumeDriver.Unmount": ["done", body('{"Err": "not now"}')] });
    const warned = "cowfs: warning: volume plugin bad: VolumeDriver.Unmount of vol: not now\n";
    const run = async (): Promise<string> =>
      (await store.ok("run", "-d", "-v", "vol:/data", "base", "sleep", "1000")).trim();
    const id = await run();
    expect(await store.run(["stop", "-t", "0", id])).toEqual(said(`${id}\n`, warned));
    expect(await store.ok("rm", id)).toBe(`${id}\n`);
    const other = await run();
    expect(await store.run(["rm", "-f", other])).toEqual(said(`${other}\n`, warned));
    expectNothingLeft();
  });

  test("rm -f forgets a volume whose plugin is gone, and who had it", async () => {
    await store.ok("volume", "create", "-d", "good", "gone");
    const run = ["run", "-d", "-v", "gone:/data", "base", "sleep", "1000"];
    const id = (await store.ok(...run)).trim();
    await good.kill();
    process.env["COWFS_PLUGIN_TIMEOUT"] = "0.1";
    expect((await store.run(["rm", "-f", id])).status).toBe(0);
    const absent = `volume plugin good: Plugin.Activate: nobody listens at ${good.socket}`;
    expect(await store.run(["volume", "rm", "-f", "gone"])).toEqual(failed(1, absent));
    expect(readdirSync(store.root.volumes)).toEqual(["vol"]);
    expectNothingLeft();
    await shell(`umount ${store.area.at("good/mnt/gone")}; rm ${store.area.at("good/volumes/gone.json")}`);
    await good.start();
  });

  test("one that does not listen yet is waited for", async () => {
    await plugin.kill();
    process.env["COWFS_PLUGIN_TIMEOUT"] = "60";
    for (const prepare of ["true", `rm ${plugin.socket}`]) {
      await shell(prepare);
      const running = store.run(["run", "--rm", "-v", "vol:/data", "base", "true"], 120_000);
      await plugin.start();
      expect(await running).toEqual(said(""));
      await plugin.kill();
    }
    await plugin.start();
  });
});

describe("how plugins are found", () => {
  const file = (name: string, content: string): void => {
    writeFileSync(store.area.at("plugins", name), content);
  };
  const create = (driver: string): Promise<Ended> => store.run(["volume", "create", "-d", driver, "found"]);
  const remove = async (): Promise<void> => {
    await store.ok("volume", "rm", "found");
    await shell(`cd ${store.area.at("plugins")}; rm -rf there*`);
  };

  test("a socket in a directory of its own; files that name a socket", async () => {
    const socket = store.area.at("elsewhere");
    const third = new VolumePlugin(store.area.at("third"), socket);
    await third.start();
    mkdirSync(store.area.at("plugins/there1"));
    await shell(`mv ${socket} ${store.area.at("plugins/there1/there1.sock")}`);
    expect(await create("there1")).toEqual(said("found\n"));
    const moved = `unix://${store.area.at("plugins/there1/there1.sock")}`;
    await store.ok("volume", "rm", "found");
    file("there2.spec", `${moved}\n`);
    expect(await create("there2")).toEqual(said("found\n"));
    await store.ok("volume", "rm", "found");
    file("there3.json", JSON.stringify({ Name: "whatever", Addr: moved }));
    expect(await create("there3")).toEqual(said("found\n"));
    await remove();
    await third.kill();
  });

  test("a port, with and without certificates", async () => {
    const certificates = store.area.at("certificates");
    await shell(
      `mkdir ${certificates}; cd ${certificates}
       openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.pem
       openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout key.pem -out request
       echo subjectAltName=IP:127.0.0.1 >names
       openssl x509 -req -in request -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out cert.pem`,
    );
    const plain = new VolumePlugin(store.area.at("plain"), store.area.at("PLAIN-PORT"));
    const secure = new VolumePlugin(store.area.at("secure"), store.area.at("SECURE-PORT"), certificates);
    await Promise.all([plain.start(), secure.start()]);
    const port = (one: VolumePlugin): string => `127.0.0.1:${readFileSync(one.socket, "utf8")}`;
    file("there.spec", `tcp://${port(plain)}`);
    expect(await create("there")).toEqual(said("found\n"));
    await remove();
    const tls = { CAFile: "ca.pem", CertFile: "cert.pem", KeyFile: "key.pem" };
    const at = (config: Record<string, string>) =>
      Object.fromEntries(Object.entries(config).map(([key, name]) => [key, `${certificates}/${name}`]));
    const json = (address: string, config: object): void =>
      file("there.json", JSON.stringify({ Addr: address, TLSConfig: config }));
    json(`https://${port(secure)}`, at(tls));
    expect(await create("there")).toEqual(said("found\n"));
    await remove();
    const { CAFile: _, ...own } = at(tls);
    json(`https://${port(secure)}`, own);
    expect((await create("there")).stderr).toMatch(/^cowfs: volume plugin there: Plugin.Activate: .*certificate/);
    json(`https://${port(secure)}`, { ...own, InsecureSkipVerify: true });
    expect(await create("there")).toEqual(said("found\n"));
    await remove();
    json(`tcp://${port(secure)}`, at(tls));
    expect((await create("there")).stderr).toContain('"TLSConfig" is only good for an address https://HOST:PORT');
    json(`https://${port(secure)}`, at({ CAFile: "none.pem" }));
    expect((await create("there")).stderr).toContain("none.pem of its TLSConfig cannot be read: ENOENT");
    await shell(`rm ${store.area.at("plugins/there.json")}`);
    await Promise.all([plain.kill(), secure.kill()]);
  });

  test.each([
    ["spec", "", 'the address "" is none of unix:///PATH, tcp://HOST:PORT'],
    ["spec", "unix://relative", 'the address "unix://relative" is none of'],
    ["spec", "ftp://host", 'the address "ftp://host" is none of'],
    ["spec", "tcp://host:65536", 'the address "tcp://host:65536" is none of'],
    ["json", "{", "it is no JSON"],
    ["json", "7", "it is no JSON object"],
    ["json", "{}", '"Addr" is missing'],
    ["json", '{"Addr": "https://h", "TLSConfig": {"CertFile": "/c"}}', '"CertFile" and "KeyFile" belong together'],
  ])("a wrong .%s: %s", async (kind, content, why) => {
    const path = store.area.at("plugins", `there.${kind}`);
    file(`there.${kind}`, content);
    const { status, stderr } = await create("there");
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: expect.stringContaining(`cowfs: volume plugin there: ${path}: ${why}`),
    });
    await shell(`rm ${path}`);
  });

  test("names and variables that are wrong; a file that is wrong blocks nothing else", async () => {
    file("there.json", "{");
    const warned = `cowfs: warning: volume plugin there: ${store.area.at("plugins/there.json")}: it is no JSON\n`;
    // It may be for anything; where a volume may be its, that is said.
    await shell(`ln -s loop.sock ${store.area.at("plugins/loop.sock")}`);
    expect(await store.run(["volume", "ls", "-q"])).toEqual(said("vol\n"));
    expect(await store.run(["volume", "ls", "-q", "-f", "driver=there"])).toEqual(said("", warned));
    expect(await store.run(["volume", "create", "found"])).toEqual(said("found\n", warned));
    await store.ok("volume", "rm", "found");
    await shell(`cd ${store.area.at("plugins")}; rm there.json loop.sock`);
    expect((await create("../bad")).stderr).toContain('the volume driver "../bad" is not known');
    process.env["COWFS_PLUGIN_TIMEOUT"] = "soon";
    expect((await create("bad")).stderr).toBe(
      'cowfs: COWFS_PLUGIN_TIMEOUT is "soon": a number of seconds above 0 is expected\n',
    );
    process.env["COWFS_PLUGIN_DIRS"] = "plugins";
    expect((await create("bad")).stderr).toContain('COWFS_PLUGIN_DIRS names "plugins": absolute paths are expected');
    process.env["COWFS_PLUGIN_DIRS"] = store.area.at("plugins");
  });
});

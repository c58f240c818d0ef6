/** What every storage driver must do, whatever it does it with: the same images, commands and answers for each. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { placesOf } from "../src/store/containers.js";
import { lacking, type Place } from "./harness/area.js";
import { shell } from "./harness/command.js";
import { mountInfo } from "./harness/namespace.js";
import { busyboxTree, Store } from "./harness/store.js";

/** Each driver, and file systems that it behaves differently on. */
const kinds: readonly { driver: string; place: Place; name: string }[] = [
  { driver: "cowfs", place: "disk", name: "cowfs" },
  { driver: "overlay2", place: "disk", name: "overlay2" },
  { driver: "btrfs", place: "btrfs:512M", name: "btrfs" },
  { driver: "vfs", place: "disk", name: "vfs on ext4" },
  { driver: "vfs", place: "xfs:512M", name: "vfs on xfs, with reflinks" },
];

/** Three layers, of which each changes what is below it; marks of both forms are in the upper two. */
async function makeImage(store: Store): Promise<void> {
  const { area } = store;
  const tree = await busyboxTree(area.at("tree"));
  await shell(
    `mkdir -p d/sub opaque replaced both empty; echo 1 >d/one; echo deep >d/sub/deep; echo low >opaque/low; echo low >replaced/low
     echo low >both/low; echo gone >gone; echo same >same; echo mode >mode; echo linked >l1; ln l1 l2; ln -s same link
     head -c 300000 /dev/zero | tr '\\0' z >big; chown 12:34 same; touch -d 2001-02-03 same d; setfattr -n user.note -v low same`,
    { cwd: tree },
  );
  const second = area.at("second");
  const third = area.at("third");
  await shell(
    `mkdir -p ${second}/opaque ${second}/both ${third}/both ${third}/d/sub
     cd ${second}; mknod gone c 0 0; setfattr -n trusted.overlay.opaque -v y opaque; echo high >opaque/high; echo mid >both/mid; echo 2 >d2
     cd ${third}; touch .wh.replaced; echo file >replaced; echo top >both/top; echo 3 >d/three; echo deep3 >d/sub/deep3; touch -d 2002-02-03 d`,
  );
  await store.image("base", [tree, second, third]);
}

/** Everything that a container can see of its image, and what stat tells of it. */
const listing = `cd /; find . -path ./proc -prune -o -path ./dev -prune -o -path ./sys -prune -o -path ./bin -prune -o -path ./etc -prune -o -print | sort |
  while read -r f; do s=$(stat -c '%n %F %a %u:%g %h' "$f"); case $s in *directory*) s="\${s% *}";; esac; echo "$s"; [ -f "$f" ] && head -c 100 "$f"; done; true`;

/** Changes of every kind. */
const changes = `
  echo more >>/same; chmod 640 /mode; rm /d/one; echo new >/d/new; rm -r /opaque; mkdir /opaque; echo mine >/opaque/mine
  mv /both /moved; mkdir /both; echo again >/both/again; mv /d/sub /d/renamed; rm /replaced; mkdir /replaced; echo x >/replaced/x
  echo both >>/l1; touch -c /l2; ln /l2 /l3; rm /link; ln -s elsewhere /link; mkfifo /fifo; rm /d2; echo back >/d2; rmdir /empty
  odd="/$(printf 'odd\\377')"; mkdir "$odd"; echo odd >"$odd/file"`;

/** What \`diff\` says of them, but for what is in a directory that was renamed, which not every driver lists. */
const changed = [
  ...[
    "C /both",
    "A /both/again",
    "D /both/low",
    "D /both/mid",
    "D /both/top",
    "C /d",
    "A /d/new",
    "D /d/one",
    "A /d/renamed",
  ],
  ...[
    "D /d/sub",
    "C /d2",
    "D /empty",
    "A /fifo",
    "C /l1",
    "C /l2",
    "A /l3",
    "C /link",
    "C /mode",
    "A /moved",
    "A /odd\xff",
    "A /odd\xff/file",
    "C /opaque",
  ],
  ...["D /opaque/high", "A /opaque/mine", "C /replaced", "A /replaced/x", "C /same"],
];

/** File systems that this kernel lacks. */
const reasons = new Map<Place, string>();
for (const { place } of kinds) {
  const reason = await lacking(place);
  if (reason !== undefined) reasons.set(place, reason);
}

describe.each(kinds)("$name", ({ driver, place }) => {
  if (reasons.has(place)) {
    test.skip(`${reasons.get(place)}`, () => undefined);
    return;
  }

  let store: Store;
  let layers: readonly string[];
  let before: Record<string, string>[];
  const exactLayers = (): Promise<Record<string, string>[]> =>
    Promise.all(layers.map((name) => store.area.exact(join(store.root.layers, name, "tree"))));
  const create = (name: string, image: string, command: string): Promise<string> =>
    store.ok("create", "--name", name, "--driver", driver, image, "sh", "-c", command);
  const start = (name: string): Promise<string> => store.ok("start", "-a", name);
  const run = (image: string, command: string): Promise<string> =>
    store.ok("run", "--rm", "--driver", driver, image, "sh", "-c", command);

  beforeAll(async () => {
    store = await Store.on(place);
    await makeImage(store);
    layers = readdirSync(store.root.layers);
    before = await exactLayers();
  });

  afterAll(async () => {
    // No driver ever changes a layer.
    expect(await exactLayers()).toEqual(before);
    expect(await store.remove()).toEqual([]);
  });

  test("a container shows the layers as one tree", async () => {
    const seen = await run("base", listing);
    expect(seen).toContain("./opaque directory 755 0:0\n./opaque/high regular file 644 0:0 1\nhigh\n./replaced");
    expect(seen).toContain(
      "./both/low regular file 644 0:0 1\nlow\n./both/mid regular file 644 0:0 1\nmid\n./both/top",
    );
    expect(seen).toContain("./replaced regular file 644 0:0 1\nfile\n");
    expect(seen).toContain("./same regular file 644 12:34 1\nsame\n");
    expect(seen).toContain("./l1 regular file 644 0:0 2\nlinked\n./l2 regular file 644 0:0 2\nlinked\n");
    expect(seen).toContain("./d/sub/deep regular file 644 0:0 1\ndeep\n./d/sub/deep3 regular file 644 0:0 1\ndeep3\n");
    expect(seen).not.toMatch(/gone|\.wh\./);
    expect(
      await run(
        "base",
        "stat -c %y /same /d | cut -c1-10; getfattr --only-values -n user.note /same 2>/dev/null || true",
      ),
    ).toMatch(/^2001-02-03\n2002-02-03\n/);
  });

  test("changes are the container's alone, and last over starts; diff tells of them; commit and export keep them", async () => {
    await create("changes", "base", `[ -e /count ] || { ${changes}\n}; echo run >>/count; ${listing}`);
    const first = await start("changes");
    expect(first).toContain("./l1 regular file 644 0:0 3\nlinked\nboth\n./l2 regular file 644 0:0 3\nlinked\nboth\n");
    expect(first).toContain(
      "./d/renamed/deep regular file 644 0:0 1\ndeep\n./d/renamed/deep3 regular file 644 0:0 1\n",
    );
    expect(first).toContain("./moved/low regular file 644 0:0 1\nlow\n./moved/mid regular file 644 0:0 1\nmid\n");
    const again = await start("changes");
    expect(again).toBe(first.replace("1\nrun\n", "1\nrun\nrun\n"));
    const lines = (await store.ok("diff", "changes")).trim().split("\n");
    expect(lines.filter((line) => !/ \/(moved|d\/renamed)\/|count/.test(line))).toEqual(changed);

    await store.ok("commit", "changes", "committed");
    const seen = again;
    expect(await run("committed", listing)).toBe(seen);
    // Another driver shows the same image in the same way.
    if (driver !== "cowfs") {
      expect(await store.ok("run", "--rm", "--driver", "cowfs", "committed", "sh", "-c", listing)).toBe(seen);
    }
    const exported = await store.area.directory("exported");
    await store.ok("export", "-o", store.area.at("exported.tar"), "changes");
    await shell(`tar -C ${exported} -xf ${store.area.at("exported.tar")} --exclude=dev`);
    expect(
      await shell("cat same d/renamed/deep moved/top l3; stat -c '%a %h' mode l2; ls opaque", { cwd: exported }),
    ).toBe("same\nmore\ndeep\ntop\nlinked\nboth\n640 1\n644 3\nmine\n");
    // The image, and so another container of it, has none of that.
    expect(await run("base", "cat /same /mode; stat -c %a /mode; ls /opaque")).toBe("same\nmode\n644\nhigh\n");
  });

  test("files that are put in and taken out while it does not run, and whose times are those of before", async () => {
    await create("copied", "base", "true");
    const host = await store.area.directory("host");
    await shell(`echo SAME >same; chown 12:34 same; touch -d 2001-02-03 same; setfattr -n user.note -v low same`, {
      cwd: host,
    });
    await store.ok("cp", "-a", join(host, "same"), "copied:/same");
    expect(await store.ok("diff", "copied")).toBe("C /same\n");
    await store.ok("cp", "copied:/d/sub", join(host, "sub"));
    expect(readdirSync(join(host, "sub")).sort()).toEqual(["deep", "deep3"]);
    await store.ok("commit", "copied", "with-same");
    expect(await run("with-same", "cat /same")).toBe("SAME\n");
  });

  test("a file that is called like a mark hides nothing, and can be in no image", async () => {
    await create("marked", "base", "touch /.wh.same /d/.wh..wh..opq; ls -A /d; cat /same");
    expect(await start("marked")).toBe(".wh..wh..opq\none\nsub\nthree\nsame\n");
    expect(await store.ok("diff", "marked")).toBe("A /.wh.same\nC /d\nA /d/.wh..wh..opq\n");
    expect(await store.run(["commit", "marked", "marked"])).toMatchObject({
      status: 1,
      stderr: expect.stringContaining("names that begin with .wh. mean something else there") as string,
    });
  });

  test("sizes are what the container wrote, in paths longer than a call takes, too", async () => {
    const deep = "for i in $(seq 20); do d=$(printf %0200d $i); mkdir $d; cd $d; done";
    await create("sized", "base", `head -c 100000 /dev/urandom >/random; echo 1 >>/big; ${deep}; cp /random .`);
    await start("sized");
    const [{ SizeRw }] = JSON.parse(await store.ok("inspect", "--size", "sized")) as [{ SizeRw: number }];
    expect(SizeRw).toBeGreaterThanOrEqual(500_000);
    expect(SizeRw).toBeLessThan(600_000);
    expect(await store.ok("ps", "-as", "-f", "name=sized", "--format", "{{.Driver}} {{.Size}}")).toMatch(
      new RegExp(`^${driver} 5\\d\\dkB\n$`),
    );
    await store.ok("commit", "sized", "sized");
    expect(await run("sized", "find / -xdev -name random | wc -l")).toBe("2\n");
    const usage = JSON.parse(await store.ok("system", "df", "-v", "--json")) as {
      containers: { name: string; size: number }[];
      summary: { type: string; size: number; reclaimable: number }[];
      baseTrees: { driver: string; containers: string[] }[];
    };
    // What a container is a copy of weighs something, too, and goes with its image only.
    const bases = usage.summary.find(({ type }) => type === "Base Trees");
    if (driver === "cowfs" || driver === "overlay2") expect([bases, usage.baseTrees]).toEqual([undefined, []]);
    else {
      expect(usage.baseTrees.flatMap(({ containers }) => containers).sort()).toContain("sized");
      expect((bases?.size ?? 0) - (bases?.reclaimable ?? 0)).toBeGreaterThan(1_000_000);
    }
    expect(usage.containers.find(({ name }) => name === "sized")?.size).toBe(SizeRw);
  });

  test("nothing is left of what is removed, and a check finds what a crash leaves", async () => {
    const id = (
      await store.ok(
        "run",
        "-d",
        "--name",
        "crash",
        "--driver",
        driver,
        "base",
        "sh",
        "-c",
        "echo x >/x; exec sleep 600",
      )
    ).trim();
    const { monitor, pid } = JSON.parse(await shell(`cat ${placesOf(store.root, id).state}`)) as {
      monitor: { pid: number };
      pid: number;
    };
    for (const victim of [monitor.pid, pid]) process.kill(victim, "SIGKILL");
    for (let waited = 0; existsSync(`/proc/${pid}`) && waited < 60_000; waited += 20)
      await new Promise((resolve) => setTimeout(resolve, 20));
    const left = [
      join(store.root.temporary, "base-0123456789abcdef/base"),
      join(store.root.bases, driver, "f".repeat(64)),
    ];
    for (const path of left) {
      await shell(`mkdir -p ${path}; cp -a ${placesOf(store.root, id).path} ${path}/tree`);
      // What was to become a base tree, and was sealed, has another subvolume in it, which a container made.
      if (driver === "btrfs") {
        await shell(
          `btrfs -q subvolume snapshot ${placesOf(store.root, id).tree} ${path}/sealed; btrfs -q subvolume create ${path}/sealed/inner`,
        );
        await shell(
          `cd ${path}/sealed; odd=$(printf 'odd\\377'); mkdir -p "$odd"; btrfs -q subvolume create "$odd/inner"
           for one in inner "$odd/inner" .; do echo x >"$one/x"; btrfs property set "$one" ro true; done`,
        );
      }
    }
    const found = await store.run(["system", "check", "--repair"]);
    expect(found, found.stdout + found.stderr).toMatchObject({
      status: 0,
      stdout: expect.stringContaining("3 found, 3 mended, 0 left") as string,
    });
    expect(left.filter((path) => existsSync(path))).toEqual([]);
    expect(await store.ok("system", "check")).toBe("ok: nothing is wrong\n");
    expect(mountInfo().filter(({ mountpoint }) => mountpoint.includes(id))).toEqual([]);
    await store.ok("start", "crash");
    expect(await store.ok("exec", "crash", "cat", "/x")).toBe("x\n");
    await store.ok("stop", "-t", "0", "crash");

    const ids = (await store.ok("ps", "-aq")).trim().split("\n");
    await store.ok("rm", ...ids);
    expect(readdirSync(store.root.containers)).toEqual([]);
    await store.ok("image", "rm", "committed", "with-same", "sized");
    expect(await store.ok("system", "check")).toBe("ok: nothing is wrong\n");
    expect(readdirSync(store.root.temporary)).toEqual([]);
  });
});

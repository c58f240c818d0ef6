import { expect, test } from "vitest";
import { Area } from "./harness/area.js";
import { cases } from "./harness/cases.js";
import { command } from "./harness/command.js";
import { hard } from "./harness/layers.js";
import type { Merged } from "./harness/merged.js";
import { cowfs } from "./harness/mounts.js";
import { helper } from "./harness/worker.js";

/** Which files of the upper have their data, be it that it is not synced yet. */
async function upperHolds(merged: Merged, files: Record<string, boolean>): Promise<void> {
  if (merged.kind === "native") return;
  for (const [path, withData] of Object.entries(files)) {
    const listed = (await helper().call("listx", [`${merged.upper}/${path}`])).text;
    const below = listed.includes("trusted.overlay.metacopy") && !listed.includes("trusted.overlay.cowfs.pending");
    if (below === withData) {
      merged.failures.push(`${path} has ${withData ? "no data" : "data"} in the upper: ${listed}`);
    }
  }
}

cases("changing attributes and names of lower files", [
  {
    name: "leaves their data where it is, and the next write brings it",
    lowers: [
      { "big/f": { fill: 300_000, size: 400_000 }, g: "some data", h1: "linked", h2: hard("h1"), "to/": {} },
      { "d/below": "from below" },
    ],
    steps: `
      before = stat big/f size,mtime
      chmod big/f 0600
      stat big/f size,mtime -> $before
      chown g 1 2
      utimens h1 5.0 6.0
      setx d/below user.a b
      stat h2 mtime,nlink -> "6.000000000 2"
      rename g to/g2
      rename d/below to/up
      link big/f to/linked
      cat to/g2 -> "some data"
      cat to/up -> "from below"
      fd = open big/f O_RDONLY
      verify $fd 0 300000
      pread $fd 4 399990 -> "\\0\\0\\0\\0"
    `,
    run: async (merged) => {
      await upperHolds(merged, { "big/f": false, "to/linked": false, "to/g2": false, "to/up": false, h1: false });
      await merged.steps(`
        remount
        drop_caches
        fd = open to/linked O_RDWR
        verify $fd 0 300000
        pwrite $fd 10 CHANGED
        pread $fd 7 10 -> CHANGED
        stat big/f size,nlink -> "400000 2"
        cat to/g2 -> "some data"
        append to/g2 " and more"
        truncate to/up 4
        append h2 " more"
        cat h1 -> "linked more"
        stat to/g2 uid,gid -> "1 2"
        getx to/up user.a -> b
      `);
      await upperHolds(merged, { "big/f": true, "to/linked": true, "to/g2": true, "to/up": true, h1: true });
      await merged.steps(`
        remount
        cat to/g2 -> "some data and more"
        cat to/up -> from
        cat h1 -> "linked more"
        fd = open big/f O_RDONLY
        pread $fd 7 10 -> CHANGED
        verify $fd 100 200000
      `);
    },
  },
  {
    name: "every way to change data finds all of it first",
    lowers: [
      {
        a: "0123456789",
        b: "0123456789",
        c: "0123456789",
        d: "0123456789",
        e: "0123456789",
        f: "0123456789",
        g: "0123456789",
        other: "abcdefghij",
      },
    ],
    steps: `
      chmod a 0600
      chmod b 0600
      chmod c 0600
      chmod d 0600
      chmod e 0600
      chmod f 0600
      chmod g 0600
      fa = open a O_RDWR
      pwrite $fa 3 X
      cat a -> 012X456789
      truncate b 4
      truncate b 6
      cat b -> "0123\\0\\0"
      fc = open c O_WRONLY|O_TRUNC
      write $fc new
      cat c -> new
      fd = open d O_RDWR
      m = mmap $fd 10
      mwrite $m 2 MM
      msync $m
      cat d -> 01MM456789
      fe = open e O_RDWR
      fallocate $fe 0 0 20
      stat e size -> 20
      cat e -> "0123456789\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0"
      ff = open f O_RDWR
      fo = open other O_RDONLY
      copyrange $fo 0 $ff 5 3
      cat f -> 01234abc89
      fg = open g O_RDWR
      unlink g
      pread $fg 10 0 -> 0123456789
      pwrite $fg 0 Z
      pread $fg 10 0 -> Z123456789
      remount
      cat a -> 012X456789
      cat d -> 01MM456789
      cat f -> 01234abc89
    `,
  },
  {
    skip: { overlay: "the time of the copying stays" },
    name: "set-id bits, capabilities and times are as they were when the data comes",
    lowers: [{ f: { data: "data", mode: 0o6755 } }],
    steps: `
      setx f user.a b
      before = stat f mode,mtime
      fd = open f O_RDWR
      stat f mode,mtime -> $before
      pread $fd 10 0 -> data
      remount
      stat f mode,mtime -> $before
    `,
  },
]);

/** What the other union file system wrote, through this one: only cowfs and the kernel can be on both sides. */
cases("metacopies that kernel overlayfs finds", [
  {
    name: "made by an earlier metacopy in a lower layer, by redirects, and without a way to the data",
    lowers: [
      {
        "by-name": { size: 4, xattrs: { "trusted.overlay.metacopy": "" } },
        "by-path": { size: 4, xattrs: { "trusted.overlay.metacopy": "", "trusted.overlay.redirect": "/far/away" } },
        "by-sibling": { size: 4, xattrs: { "trusted.overlay.metacopy": "", "trusted.overlay.redirect": "by-name" } },
        "with-header": { size: 4, xattrs: { "trusted.overlay.metacopy": "\0\x04\0\0" } },
        nowhere: { size: 4, xattrs: { "trusted.overlay.metacopy": "" } },
      },
      { "by-name": "NAME", "far/away": "PATH", "with-header": "HEAD" },
    ],
    steps: `
      cat by-name -> NAME
      cat by-path -> PATH
      cat by-sibling -> NAME
      cat with-header -> HEAD
      cat nowhere -> EIO
      append by-path more
      chmod by-name 0600
      rename by-sibling moved
      remount
      cat by-path -> PATHmore
      cat by-name -> NAME
      cat moved -> NAME
    `,
    skip: { native: "it has no layers" },
    tree: "none",
  },
]);

test("layers that only hold data show nothing, and give their data to metacopies", async () => {
  const area = new Area();
  try {
    for (const name of ["top", "data", "work", "m"]) await area.directory(name);
    await area.build(area.at("top"), {
      a: { size: 4, xattrs: { "trusted.overlay.metacopy": "", "trusted.overlay.redirect": "/objects/1" } },
      b: "own",
    });
    await area.build(area.at("data"), { "objects/1": "DATA", b: "never shown", c: "nor this" });
    const sh = async (script: string): Promise<string> =>
      (await helper().call("sh", [script, area.at("m")], 60_000)).text.trim();
    const list = `${area.at("top")}::${area.at("data")}`;
    const check = "ls; cat a b; stat -c %s a";
    await command("mount", ["-t", "overlay", "-o", `lowerdir=${list},metacopy=on,redirect_dir=on`, "o", area.at("m")]);
    const expected = await sh(check);
    await command("umount", [area.at("m")]);
    const mounted = await cowfs(["mount", "--lower", list, "--upper", area.at("up"), area.at("m")]);
    expect(mounted).toMatchObject({ status: 0, stderr: "" });
    expect(await sh(check)).toBe(expected);
    expect(await sh("chmod 600 a; mv a a2; printf x >> a2; cat a2")).toContain("DATAx");
    expect((await cowfs(["umount", area.at("m")])).status).toBe(0);
    for (const [wrong, why] of [
      [`::${area.at("data")}`, "empty entry"],
      [`${list}:${area.at("top")}`, "only holds data"],
    ] as const) {
      const refused = await cowfs(["mount", "--lower", wrong, area.at("m")]);
      expect(refused.status).toBe(2);
      expect(refused.stderr).toContain(why);
    }
    const verity = await cowfs(["mount", "--lower", area.at("top"), "-o", "verity=yes", area.at("m")]);
    expect(verity.stderr).toContain("verity=require");
  } finally {
    expect(await area.remove()).toEqual([]);
  }
});

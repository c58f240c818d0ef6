/** Owners, modes and types that are kept in attributes, on files whose data is below, comes up, or does not get that far. */
import { execFileSync } from "node:child_process";
import { chmodSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import { EIO, ENOSPC } from "../errno.js";
import { S_IFIFO, S_IFREG } from "../layer/stat.js";
import { native } from "../native/index.js";
import { ROOT } from "./node-table.js";
import { write, writeFd } from "./ops/data.js";
import { getattr } from "./ops/getattr.js";
import { rename } from "./ops/rename.js";
import { noChange, type SetAttr, setattr } from "./ops/setattr.js";
import { getxattr, setxattr } from "./ops/xattr.js";
import { PARK } from "./park.js";
import { Bench, cat } from "./testing.js";

const nothing = noChange();
const MODE = 1;
const UID = 2;
const GID = 4;
const SIZE = 8;
const KILL_SUIDGID = 1 << 11;
const text = "the data of a lower file";
const names = { 1: "security.fuseoverlayfs.override_stat", 2: "user.containers.override_stat" };

let bench: Bench | undefined;
afterEach(() => {
  vi.restoreAllMocks();
  bench?.close();
  bench = undefined;
});

/** Stores an owner in an object of a layer. */
function store(path: string, value: string, attribute = names[2]): void {
  expect(native.setxattr(-100, path, attribute, Buffer.from(value), 0)).toBe(0);
}

function make(xattrPermissions: 1 | 2, inlineCopyLimit = 1 << 20): Bench {
  const ownership = { uids: [], gids: [], squashUid: -1, squashGid: -1, xattrPermissions };
  const b = new Bench([{ f: text, plain: text, "d/g": text, "d/h": "= d/g" }], undefined, {
    ownership,
    inlineCopyLimit,
  });
  bench = b;
  b.change(() => {
    const lower = (path: string): string => join(b.lowers[0] as string, path);
    // Also an attribute that the other kind wrote is understood; what this mount writes wins.
    store(lower("f"), "1000:1001:6755:file");
    store(lower("d/g"), "7:8:640:file");
    chmodSync(lower("plain"), 0o4711);
    execFileSync("touch", ["-d", "@900000000.5", lower("f"), lower("plain"), lower("d/g")]);
  });
  return b;
}

function shown(b: Bench, path: string): string {
  const r = getattr(b.u, b.node(path));
  const { stat } = b.u;
  return r < 0
    ? `error ${r}`
    : `${stat.uid}:${stat.gid}:${(stat.mode & 0o7777).toString(8)} ${stat.size} ${stat.mtime}`;
}

function marks(b: Bench, path: string): string[] {
  const list = Buffer.alloc(4096);
  const length = native.listxattr(-100, join(b.upper, path), list);
  return list
    .latin1Slice(0, Math.max(length, 0))
    .split("\0")
    .filter((name) => name.startsWith("trusted.overlay."))
    .map((name) => name.slice(16))
    .sort();
}

const put = (b: Bench, path: string, data: string): number =>
  write(b.u, b.node(path), Buffer.from(data), 0, data.length, 0, null, false);
const change = (b: Bench, path: string, what: Partial<SetAttr>): number =>
  setattr(b.u, b.node(path), { ...nothing, ...what });

describe.each([1, 2] as const)("xattr_permissions=%i", (kind) => {
  test("a metacopy shows what is stored, and its data disturbs nothing of that", () => {
    const b = make(kind);
    expect(shown(b, "f")).toBe("1000:1001:6755 24 900000000");
    expect(rename(b.u, ROOT, "f", b.node("d"), "f", 0)).toBe(0);
    expect(change(b, "plain", { valid: UID, uid: 5 })).toBe(0);
    // As chown does.
    expect(shown(b, "plain")).toBe("5:0:711 24 900000000");
    expect(change(b, "plain", { valid: MODE, mode: 0o6755 })).toBe(0);
    for (const reopen of [false, true]) {
      if (reopen) b.reopen();
      expect(shown(b, "d/f")).toBe("1000:1001:6755 24 900000000");
      expect(shown(b, "plain")).toBe("5:0:6755 24 900000000");
      expect(marks(b, "d/f")).toContain("metacopy");
    }
    for (const path of ["d/f", "plain"]) {
      expect(writeFd(b.u, b.node(path))).toBeGreaterThanOrEqual(0);
      expect(marks(b, path)).toEqual(["origin"]);
      // On the disk it is the driver's own, and never set-id.
      expect(statSync(join(b.upper, path)).mode & 0o7777).toBe(0o755);
      expect(statSync(join(b.upper, path)).uid).toBe(0);
    }
    for (const reopen of [false, true]) {
      if (reopen) b.reopen();
      expect(shown(b, "d/f")).toBe("1000:1001:6755 24 900000000");
      expect(shown(b, "plain")).toBe("5:0:6755 24 900000000");
      expect(cat(b, "d/f")).toBe(text);
      expect(cat(b, "plain")).toBe(text);
    }
  });

  test("a truncation by somebody else takes the stored set-id bits away, and nothing else", () => {
    const b = make(kind);
    expect(change(b, "f", { valid: UID, uid: 6 })).toBe(0);
    expect(change(b, "f", { valid: MODE, mode: 0o6755 })).toBe(0);
    expect(change(b, "f", { valid: SIZE | KILL_SUIDGID, size: 3 })).toBe(0);
    expect(shown(b, "f")).toMatch(/^6:1001:755 3 /);
    b.reopen();
    expect(shown(b, "f")).toMatch(/^6:1001:755 3 /);
    expect(cat(b, "f")).toBe("the");
  });

  test("a stored set-group-ID bit of a file that the group may not execute stays for its members only", () => {
    const b = make(kind);
    const asked: string[] = [];
    const by = (keeps: boolean) => ({
      keepsGroupBit: (uid: number, gid: number) => {
        asked.push(`${uid}:${gid}`);
        return keeps;
      },
    });
    for (const request of [
      { valid: SIZE | KILL_SUIDGID, size: 3 },
      { valid: GID, gid: 1001 },
    ]) {
      expect(change(b, "f", { valid: UID | GID, uid: 6, gid: 1001 })).toBe(0);
      expect(change(b, "f", { valid: MODE, mode: 0o6644 })).toBe(0);
      expect(asked).toEqual([]);
      expect(change(b, "f", { ...request, changer: by(true) })).toBe(0);
      expect(shown(b, "f")).toMatch(/^6:1001:2644 /);
      expect(change(b, "f", { ...request, changer: by(false) })).toBe(0);
      expect(shown(b, "f")).toMatch(/^6:1001:644 /);
      expect(asked.splice(0)).toEqual(["6:1001", "6:1001"]);
    }
  });

  test("hard links keep one owner, without data and with", () => {
    const b = make(kind);
    expect(change(b, "d/h", { valid: UID, uid: 9 })).toBe(0);
    for (const reopen of [false, true]) {
      if (reopen) b.reopen();
      for (const path of ["d/g", "d/h"]) expect(shown(b, path)).toBe("9:8:640 24 900000000");
    }
    expect(put(b, "d/g", "THE")).toBe(3);
    b.reopen();
    for (const path of ["d/g", "d/h"]) {
      expect(shown(b, path)).toMatch(/^9:8:640 24 /);
      expect(cat(b, path)).toBe(`THE${text.slice(3)}`);
    }
  });

  test("while a job copies the data, when it fails, and after a crash, owner and mode are what they were", () => {
    const b = make(kind, 0);
    expect(change(b, "f", { valid: MODE, mode: 0o4750 })).toBe(0);
    const before = "1000:1001:4750 24 900000000";
    let job = 0;
    vi.spyOn(native, "jobCopy").mockImplementation((id) => {
      job = id;
      return 0;
    });
    expect(put(b, "f", "THE")).toBe(PARK);
    writeFileSync(join(b.upper, "f"), "half");
    expect(shown(b, "f")).toBe(before);
    expect(b.u.jobDone(job, -ENOSPC)).toBe(-ENOSPC);
    expect(shown(b, "f")).toBe(before);
    expect(marks(b, "f")).toContain("metacopy");
    expect(put(b, "f", "THE")).toBe(PARK);
    b.change(() => writeFileSync(join(b.upper, "f"), "half"));
    expect(shown(b, "f")).toBe(before);
    expect(marks(b, "f")).not.toContain("pending");
    expect(cat(b, "f")).toBe(text);
    expect(put(b, "f", "THE")).toBe(PARK);
    writeFileSync(join(b.upper, "f"), readFileSync(join(b.lowers[0] as string, "f")));
    expect(b.u.jobDone(job, 0)).toBe(0);
    expect(shown(b, "f")).toBe(before);
    expect(marks(b, "f")).toEqual(["origin"]);
    b.reopen();
    expect(shown(b, "f")).toBe(before);
    expect(cat(b, "f")).toBe(text);
  });

  test("a crash in the middle of a chmod leaves the mode, and the ACL that says it too", () => {
    const b = make(kind);
    // user::rw-, user:1234:rwx, group::r--, mask::r--, other::---.
    const acl = Buffer.from(
      "0200000001000600ffffffff02000700d204000004000400ffffffff10000400ffffffff20000000ffffffff",
      "hex",
    );
    const read = Buffer.alloc(acl.length);
    const shownAcl = (): string => {
      expect(getxattr(b.u, b.node("f"), "system.posix_acl_access", read)).toBe(acl.length);
      return read.toString("hex");
    };
    expect(setxattr(b.u, b.node("f"), "system.posix_acl_access", acl, 0, false)).toBe(0);
    const before = [shown(b, "f"), shownAcl()];
    expect(before[1]).toBe(acl.toString("hex"));
    const crash = vi.spyOn(native, "setxattr").mockImplementation(() => {
      throw new Error("crash");
    });
    expect(() => change(b, "f", { valid: MODE, mode: 0o777 })).toThrow("crash");
    crash.mockRestore();
    b.reopen();
    expect([shown(b, "f"), shownAcl()]).toEqual(before);
  });

  test("a metacopy whose data is gone still has its owner", () => {
    const b = make(kind);
    expect(change(b, "f", { valid: MODE, mode: 0o4750 })).toBe(0);
    b.change(() => rmSync(join(b.lowers[0] as string, "f")));
    expect(cat(b, "f")).toBe(`error ${-EIO}`);
    expect(put(b, "f", "x")).toBe(-EIO);
    expect(shown(b, "f")).toBe("1000:1001:4750 24 900000000");
    expect(change(b, "f", { valid: UID, uid: 3 })).toBe(0);
    expect(shown(b, "f")).toBe("3:1001:750 24 900000000");
  });

  test("a file that stands for a fifo is no metacopy, also with several names", () => {
    const b = make(kind);
    b.change(() => {
      const lower = join(b.lowers[0] as string, "fifo");
      execFileSync("sh", ["-c", `mkfifo -m 644 ${lower}; ln ${lower} ${lower}2`]);
      writeFileSync(join(b.lowers[0] as string, "stands"), "");
      store(join(b.lowers[0] as string, "stands"), "4:5:600:pipe");
    });
    const type = (path: string): number => (getattr(b.u, b.node(path)) < 0 ? -1 : b.u.stat.mode & 0o170000);
    expect(type("stands")).toBe(S_IFIFO);
    expect(change(b, "stands", { valid: MODE, mode: 0o640 })).toBe(0);
    expect(change(b, "fifo", { valid: UID, uid: 9 })).toBe(0);
    for (const reopen of [false, true]) {
      if (reopen) b.reopen();
      for (const path of ["stands", "fifo", "fifo2"]) expect(type(path), `${path} ${reopen}`).toBe(S_IFIFO);
      expect(shown(b, "stands")).toMatch(/^4:5:640 /);
      for (const path of ["fifo", "fifo2"]) {
        expect(shown(b, path), path).toMatch(/^9:0:644 /);
        expect(b.u.stat.nlink, path).toBe(2);
      }
    }
    expect(change(b, "fifo2", { valid: MODE, mode: 0o600 })).toBe(0);
    expect(shown(b, "fifo")).toMatch(/^9:0:600 /);
    expect(statSync(join(b.upper, "fifo")).mode & 0o170000).toBe(S_IFREG);
  });
});

import { describe, expect, test } from "vitest";
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFREG, S_IFSOCK, Stat } from "../layer/stat.js";
import { formatStoredOwner, parseStoredOwner, withoutSetId } from "./stored-owner.js";

describe("the value of a stored owner", () => {
  test("is read as fuse-overlayfs and containers/storage write it", () => {
    const plain = { uid: 10, gid: 11, mode: 0o644, type: 0, major: 0, minor: 0 };
    expect(parseStoredOwner("10:11:644")).toEqual(plain);
    expect(parseStoredOwner("10:11:100644")).toEqual(plain);
    expect(parseStoredOwner("10:11:0644:file")).toEqual({ ...plain, type: S_IFREG });
    expect(parseStoredOwner("10:11:644:pipe")).toEqual({ ...plain, type: S_IFIFO });
    expect(parseStoredOwner("10:11:644:socket")).toEqual({ ...plain, type: S_IFSOCK });
    expect(parseStoredOwner("10:11:644:dir\0")).toEqual({ ...plain, type: S_IFDIR });
    expect(parseStoredOwner("10:11:644:char-1-3")).toEqual({ ...plain, type: S_IFCHR, major: 1, minor: 3 });
    expect(parseStoredOwner("10:11:644:block-259-1048575")).toEqual({
      ...plain,
      type: S_IFBLK,
      major: 259,
      minor: 1048575,
    });
    expect(parseStoredOwner("4294967294:0:4755")).toMatchObject({ uid: 4294967294, mode: 0o4755 });
  });

  test("is refused where it is malformed", () => {
    for (const value of [
      "",
      ":",
      "1:2",
      "1:2:8",
      "1:2:",
      "1:2:644:",
      "1:2:644:fifo",
      "1:2:644:char",
      "1:2:644:char-1",
      "1:2:644:char-1-3-4",
      "1:2:644:char-4096-1",
      "1:2:644:block-1-1048576",
      "1:2:644:file:x",
      "-1:2:644",
      " 1:2:644",
      "1:2:644\n",
      "0x1:2:644",
      "4294967295:2:644",
      "1:99999999999:644",
      "1:2:77777777",
      "1:2:644\0\0",
    ]) {
      expect(parseStoredOwner(value), JSON.stringify(value)).toBeNull();
    }
  });

  test("says what it is read as", () => {
    const stat = new Stat();
    for (const [mode, text] of [
      [S_IFREG | 0o4755, "5:6:4755:file"],
      [S_IFDIR | 0o1777, "5:6:1777:dir"],
      [S_IFIFO | 0o600, "5:6:600:pipe"],
      [S_IFBLK | 0o660, "5:6:660:block-8-17"],
    ] as const) {
      stat.uid = 5;
      stat.gid = 6;
      stat.mode = mode;
      stat.setRdev(8, 17);
      expect(formatStoredOwner(stat)).toBe(text);
      expect(parseStoredOwner(text)).toMatchObject({ uid: 5, gid: 6, mode: mode & 0o7777, type: mode & 0o170000 });
    }
  });

  test("a write leaves no set-id bit, but for the group bit where the group may not execute", () => {
    expect(withoutSetId(0o6755)).toBe(0o755);
    expect(withoutSetId(0o6644)).toBe(0o2644);
    expect(withoutSetId(0o1777)).toBe(0o1777);
  });
});

import { expect, test } from "vitest";
import { UsageError } from "./exit.js";
import { applyOptionList, defaultMountOptions, type MountOptions, splitOptionList } from "./mount-options.js";

function parse(...lists: string[]): MountOptions {
  const options = defaultMountOptions(true);
  for (const list of lists) applyOptionList(options, list);
  return options;
}

test.each([
  ["a,b=c", ["a", "b=c"]],
  ["a,,b,", ["a", "b"]],
  ["", []],
  [",,,", []],
  ['context="system_u:object_r:x:s0:c1,c2",volatile', ["context=system_u:object_r:x:s0:c1,c2", "volatile"]],
  ['"a,b",c', ["a,b", "c"]],
  ["upperdir=/a\\,b,ro", ["upperdir=/a,b", "ro"]],
  ["upperdir=/a\\\\,ro", ["upperdir=/a\\\\", "ro"]],
  ["lowerdir=/a\\:b:/c", ["lowerdir=/a\\:b:/c"]],
  ['upperdir=/with"quote', ['upperdir=/with"quote']],
])("splits %s", (list, items) => {
  expect(splitOptionList(list)).toEqual(items);
});

test("a quote must be closed", () => {
  expect(() => splitOptionList('context="a,b')).toThrow(UsageError);
});

test("what podman run writes, with its double comma", () => {
  const options = parse(
    "lowerdir=R/overlay/l/AAA:R/overlay/l/BBB,upperdir=R/overlay/id/diff,workdir=R/overlay/id/work,,volatile",
  );
  expect(options).toMatchObject({
    lowers: ["R/overlay/l/AAA", "R/overlay/l/BBB"],
    upper: "R/overlay/id/diff",
    work: "R/overlay/id/work",
    volatile: true,
    unknown: [],
    notices: [],
  });
});

test("what podman commit and diff write, with a comma at the end", () => {
  const options = parse("lowerdir=l/AAA,upperdir=id/diff,workdir=id/work,");
  expect(options).toMatchObject({ lowers: ["l/AAA"], upper: "id/diff", work: "id/work", volatile: false, unknown: [] });
});

test("what podman image mount writes: no upper", () => {
  const options = parse("lowerdir=id/diff:id/empty");
  expect(options.lowers).toEqual(["id/diff", "id/empty"]);
  expect(options.upper).toBeUndefined();
  expect(options.work).toBeUndefined();
});

test("what podman writes for -v x:/y:O", () => {
  expect(parse("lowerdir=/src,upperdir=/u,workdir=/w,private")).toMatchObject({ lowers: ["/src"], unknown: [] });
});

test("what podman writes for --uidmap", () => {
  const options = parse(
    "lowerdir=/l,upperdir=/u,workdir=/w,,volatile,uidmapping=:0:100000:65536,gidmapping=:0:100000:65536",
  );
  expect(options).toMatchObject({ volatile: true, lowers: ["/l"], work: "/w" });
  expect(options.unknown).toEqual([]);
  expect(options.ownership.uids).toEqual([{ onDisk: 0, shown: 100000, length: 65536 }]);
});

test("what containerd writes", () => {
  const options = parse("workdir=/w,upperdir=/u,lowerdir=/l1:/l2,dev,suid");
  expect(options).toMatchObject({ lowers: ["/l1", "/l2"], upper: "/u", work: "/w", unknown: [] });
  expect(options.mountFlags).toMatchObject({ dev: true, suid: true });
});

test("what mount(8) writes for an fstab line", () => {
  const options = parse("rw,noauto,user,_netdev,nofail,x-systemd.requires=network.target,nosuid,nodev,lowerdir=/l");
  expect(options).toMatchObject({ readOnly: false, unknown: [] });
  expect(options.mountFlags).toMatchObject({ suid: false, dev: false, exec: true });
});

test("mount flags: the last one wins", () => {
  const { mountFlags, readOnly } = parse("nosuid,ro,nodev,noexec", "suid,rw,sync,nodiratime,dirsync");
  expect(mountFlags).toMatchObject({
    suid: true,
    dev: false,
    exec: false,
    sync: true,
    nodiratime: true,
    dirsync: true,
  });
  expect(readOnly).toBe(false);
});

test("the defaults of root and of anyone else", () => {
  expect(defaultMountOptions(true)).toMatchObject({ allowOther: true, defaultPermissions: true });
  expect(defaultMountOptions(true).mountFlags).toMatchObject({ suid: true, dev: true, exec: true, noatime: true });
  expect(defaultMountOptions(false)).toMatchObject({ allowOther: false, defaultPermissions: true });
  expect(defaultMountOptions(false).mountFlags).toMatchObject({ suid: false, dev: false, noatime: true });
});

test("values", () => {
  expect(parse("fsname=my\\,disk,xino=on,timeout=1.5,spin=0,debug,fsync=0")).toMatchObject({
    source: "my,disk",
    xino: "on",
    timeout: 1.5,
    spinMicroseconds: 0,
    debug: true,
    volatile: true,
  });
  expect(parse("timeout=1000000000,spin=1000000")).toMatchObject({ timeout: 1e9, spinMicroseconds: 1e6 });
  expect(parse("idle_poll=off").idlePoll).toBe("off");
  expect(parse("lower_passthrough=64k").lowerPassthrough).toBe(65_536);
  expect(parse("lower_passthrough=64k,lower_passthrough=off").lowerPassthrough).toBe("off");
  expect(parse("volatile,fsync=1").volatile).toBe(false);
  expect(parse("fsync=strict")).toMatchObject({ volatile: false, syncsCopies: true });
  expect(parse("fsync=strict,fsync=volatile")).toMatchObject({ volatile: true, syncsCopies: false });
});

test("layers add up", () => {
  expect(parse("lowerdir=/a", "lowerdir=/b:/c").lowers).toEqual(["/a", "/b", "/c"]);
});

test("options that mean nothing here are silent", () => {
  const { unknown, notices } = parse(
    "noatime,writeback=1,threaded=0,fast_ino=1,static_nlink,ino32_t,noacl,max_write=65536,sync=1,x-systemd.automount,X-mount.mkdir," +
      'context="system_u:object_r:x:s0:c1,c2",index=on,redirect_dir=on,nfs_export=off,uuid=auto,uuid=null,verity=on,xino=auto',
  );
  expect({ unknown, notices }).toEqual({ unknown: [], notices: [] });
});

test.each([
  ["lowerdri=/l", "did you mean lowerdir?"],
  ["uperdir=/u", "did you mean upperdir?"],
  ["indxe=on", "did you mean index?"],
  ["redirectdir=on", "did you mean redirect_dir?"],
  ["voltaile", "did you mean volatile?"],
  ["frobnicate", "cowfs mount --help lists those that are known"],
  [`${"x".repeat(100_000)}=1`, "cowfs mount --help lists those that are known"],
])("an unknown option: %s", (item, hint) => {
  expect(parse(item).unknown).toEqual([`the mount option ${item} is unknown: ${hint}`]);
});

test("options that cannot have their effect are said", () => {
  expect(
    parse("nfs_export=on,uuid=on,uuid=off,nooverride_creds").notices.map((notice) => notice.split(" ")[0]),
  ).toEqual(["nfs_export=on", "uuid=on", "uuid=off", "nooverride_creds"]);
});

test("how the upper is written", () => {
  expect(parse("index=off,redirect_dir=off,metacopy=off")).toMatchObject({
    index: false,
    redirectDir: "follow",
    metacopy: false,
  });
  expect(parse("redirect_dir=nofollow,index=on")).toMatchObject({ index: true, redirectDir: "nofollow" });
});

test.each([
  "xino=maybe",
  "timeout=soon",
  "timeout=",
  "timeout=-1",
  "upperdir=",
  "lowerdir",
  "upperdir",
  "lowerdir=",
  "index",
  "index=maybe",
  "volatile=1",
])("wrong usage: %s", (list) => {
  expect(() => parse(list)).toThrow(UsageError);
});

test.each([
  ["index=7", "index=7 is unknown: use index=on, index=off"],
  ["redirect_dir=yes", "use redirect_dir=on, redirect_dir=follow, redirect_dir=nofollow, redirect_dir=off"],
  ["nfs_export=7", "use nfs_export=on, nfs_export=off"],
  ["uuid=7", "use uuid=auto, uuid=null, uuid=on, uuid=off"],
  ["xino=7", "use xino=off, xino=auto, xino=on"],
  ["verity=7", "use verity=off, verity=on"],
  ["metacopy=7", "use metacopy=on, metacopy=off"],
  ["fsync=7", "use fsync=0, fsync=1, fsync=auto, fsync=strict, fsync=volatile"],
  ...["-1", "0x10", "1e3", "Infinity", "NaN", "+1", " 1", "1.", "soon", ""].map((value) => [
    `timeout="${value}"`,
    `timeout=${value} is no such number: use seconds from 0 to 1000000000, in decimal digits`,
  ]),
  ["lower_passthrough=big", "lower_passthrough=big is no size: use off, or from how many bytes on, as in 512k or 4m"],
  ["timeout=1000000001", "timeout=1000000001 is too much: use seconds from 0 to 1000000000"],
  ["idle_poll=yes", "idle_poll=yes is unknown: use idle_poll=auto, idle_poll=on, idle_poll=off"],
  ["spin=99999999999", "spin=99999999999 is too much: use microseconds from 0 to 1000000"],
])("a wrong value is named with the choices: %s", (list, message) => {
  expect(() => parse(list)).toThrow(message);
});

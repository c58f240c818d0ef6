import { describe, expect, test } from "vitest";
import { UsageError } from "./exit.js";
import { parseId, parseIdMapping } from "./id-mapping.js";
import { planMount } from "./mount-plan.js";

const plan = (options: string) =>
  planMount({ positionals: ["/tmp"], lower: ["/l"], options: [options] }, "/", true).config.ownership;

describe("id mappings on the command line", () => {
  test("are triples; a leading colon is passed over", () => {
    const one = { onDisk: 0, shown: 100000, length: 65536 };
    expect(parseIdMapping("uidmapping", "0:100000:65536")).toEqual([one]);
    expect(parseIdMapping("uidmapping", ":0:100000:65536")).toEqual([one]);
    expect(parseIdMapping("uidmapping", "0:1000:1:1:110000:65536")).toHaveLength(2);
    expect(parseIdMapping("uidmapping", "0:4294967294:1")).toHaveLength(1);
  });

  test("are refused where they are malformed or ambiguous", () => {
    for (const value of [
      "",
      ":",
      "0",
      "0:1",
      "0:1:2:3",
      "::0:1:2",
      "0:1:2:",
      "a:1:2",
      "0:-1:2",
      "0:1:0",
      "0:1 :2",
      "0x0:1:2",
      "0:1:4294967295",
      "4294967295:0:1",
      "0:99999999999:1",
      "0:0:10:5:100:10",
      "0:0:10:100:9:10",
    ]) {
      expect(() => parseIdMapping("uidmapping", value), value).toThrow(UsageError);
    }
    expect(() => parseId("squash_to_uid", "root")).toThrow(/squash_to_uid=root is no id/);
    expect(() => parseId("squash_to_uid", "4294967295")).toThrow(UsageError);
  });

  test("as podman writes them", () => {
    const range = [{ onDisk: 0, shown: 100000, length: 65536 }];
    expect(plan(",,volatile,uidmapping=:0:100000:65536,gidmapping=:0:100000:65536")).toEqual({
      uids: range,
      gids: range,
      squashUid: -1,
      squashGid: -1,
      xattrPermissions: 0,
    });
  });

  test("squash_to_root is for the ids that no other option names", () => {
    expect(plan("squash_to_root")).toMatchObject({ squashUid: 0, squashGid: 0 });
    expect(plan("squash_to_uid=5,squash_to_root")).toMatchObject({ squashUid: 5, squashGid: 0 });
    expect(plan("squash_to_gid=6")).toMatchObject({ squashUid: -1, squashGid: 6 });
    expect(plan("volatile")).toBeUndefined();
    expect(plan("xattr_permissions=0")).toBeUndefined();
    expect(plan("xattr_permissions=2")).toMatchObject({ xattrPermissions: 2 });
    expect(() => plan("xattr_permissions=3")).toThrow(/use 0 \(off\), 1/);
  });
});

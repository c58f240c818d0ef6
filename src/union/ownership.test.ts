import { describe, expect, test } from "vitest";
import { EINVAL, ENODATA, EOVERFLOW } from "../errno.js";
import { IdMap, OVERFLOW_ID } from "./id-map.js";
import { Ownership, type OwnershipOptions } from "./ownership.js";

const none: OwnershipOptions = { uids: [], gids: [], squashUid: -1, squashGid: -1, xattrPermissions: 0 };
const podman = [{ onDisk: 0, shown: 100000, length: 65536 }];
const with_ = (options: Partial<OwnershipOptions>): Ownership =>
  Ownership.of({ ...none, ...options }, () => {}) as Ownership;

describe("id mappings", () => {
  test("translate both ways, each range by itself", () => {
    const map = new IdMap([
      { onDisk: 0, shown: 1000, length: 1 },
      { onDisk: 1, shown: 110000, length: 65536 },
    ]);
    expect([0, 1, 65536, 65537, 0xfffffffe].map((id) => map.show(id))).toEqual([
      1000,
      110000,
      175535,
      OVERFLOW_ID,
      OVERFLOW_ID,
    ]);
    expect([1000, 110000, 175535, 175536, 0, 999, 1001, OVERFLOW_ID].map((id) => map.store(id))).toEqual([
      0,
      1,
      65536,
      -EOVERFLOW,
      -EOVERFLOW,
      -EOVERFLOW,
      -EOVERFLOW,
      -EOVERFLOW,
    ]);
    const high = new IdMap([{ onDisk: 0, shown: 0xfffffffe, length: 1 }]);
    expect([high.show(0), high.store(0xfffffffe)]).toEqual([0xfffffffe, 0]);
  });

  test("cost nothing where nothing is asked for", () => {
    expect(Ownership.of(undefined, () => {})).toBeNull();
    expect(Ownership.of(none, () => {})).toBeNull();
  });

  test("squashed ids are shown, and what comes in is stored as it is", () => {
    const one = with_({ squashUid: 7, uids: podman });
    expect([one.shownUid(0), one.shownUid(9999999), one.shownGid(5)]).toEqual([7, 7, 5]);
    expect([one.uidOnDisk(100005), one.uidOnDisk(7), one.gidOnDisk(5)]).toEqual([5, -EOVERFLOW, 5]);
  });
});

describe("ids in values of attributes", () => {
  const acl = (...entries: [tag: number, id: number][]): Uint8Array => {
    const bytes = new Uint8Array(4 + entries.length * 8);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, 2, true);
    entries.forEach(([tag, id], i) => {
      view.setUint16(4 + i * 8, tag, true);
      view.setUint32(8 + i * 8, id, true);
    });
    return bytes;
  };
  const capability = (revision: number, root: number): Uint8Array => {
    const bytes = new Uint8Array(revision === 3 ? 24 : 20);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, revision << 24, true);
    if (revision === 3) view.setUint32(20, root, true);
    return bytes;
  };
  const noId = 0xffffffff;
  const room = new Uint8Array(1024);
  const one = with_({ uids: podman, gids: podman });

  test("ACLs are mapped both ways, named users and groups only", () => {
    const stored = acl([1, noId], [2, 9], [4, noId], [8, 10], [16, noId], [32, noId]);
    const shown = acl([1, noId], [2, 100009], [4, noId], [8, 100010], [16, noId], [32, noId]);
    const value = stored.slice();
    expect(one.showValue(-1, "", "system.posix_acl_access", value, value.length)).toBe(value.length);
    expect(value).toEqual(shown);
    const asked = shown.slice();
    expect(one.storedValue("system.posix_acl_default", asked, room)).toEqual(stored);
    expect(asked).toEqual(shown);
    expect(one.storedValue("system.posix_acl_access", acl([2, 9]), room)).toBe(-EINVAL);
    const unmapped = acl([2, 200000]);
    expect(one.showValue(-1, "", "system.posix_acl_access", unmapped, unmapped.length)).toBe(unmapped.length);
    expect(unmapped).toEqual(acl([2, OVERFLOW_ID]));
  });

  test("what is no ACL passes, whatever its length", () => {
    for (let length = 0; length < 14; length++) {
      const odd = new Uint8Array(length).fill(0xff);
      expect(one.showValue(-1, "", "system.posix_acl_access", odd, length)).toBe(length);
      expect(one.storedValue("system.posix_acl_access", odd, room)).toEqual(odd);
    }
    expect(one.showValue(-1, "", "system.posix_acl_access", new Uint8Array(0), 44)).toBe(44);
    expect(one.showValue(-1, "", "system.posix_acl_access", new Uint8Array(0), -ENODATA)).toBe(-ENODATA);
  });

  test("the user of capabilities is mapped, where they name one", () => {
    const named = capability(3, 5);
    expect(one.showValue(-1, "", "security.capability", named, named.length)).toBe(24);
    expect(named).toEqual(capability(3, 100005));
    expect(one.storedValue("security.capability", named, room)).toEqual(capability(3, 5));
    expect(one.storedValue("security.capability", capability(3, 5), room)).toBe(-EINVAL);
    const foreign = capability(3, 200000);
    expect(one.showValue(-1, "", "security.capability", foreign, foreign.length)).toBe(-ENODATA);
    const global = capability(2, 0);
    expect(one.storedValue("security.capability", global, room)).toBe(global);
    expect(one.storedValue("user.x", global, room)).toBe(global);
  });
});

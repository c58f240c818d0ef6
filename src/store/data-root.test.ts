import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { ENODATA } from "../errno.js";
import { AT_FDCWD } from "../native/constants.js";
import { native } from "../native/index.js";
import { openDataRoot } from "./data-root.js";

/** user::rwx, user:1234:rwx, group::r-x, mask::rwx, other::---. */
const acl = Buffer.from(
  "0200000001000700ffffffff02000700d204000004000500ffffffff10000700ffffffff20000000ffffffff",
  "hex",
);

test("what the directory around a data root hands down does not reach what is built in it", () => {
  const around = mkdtempSync(join(tmpdir(), "cowfs-root-"));
  onTestFinished(() => rmSync(around, { recursive: true }));
  chmodSync(around, 0o2755);
  expect(native.setxattr(AT_FDCWD, around, "system.posix_acl_default", acl, 0)).toBe(0);
  const root = openDataRoot(join(around, "root"));
  for (const name of readdirSync(root.path)) {
    const path = join(root.path, name);
    if (!statSync(path).isDirectory()) continue;
    expect([name, statSync(path).mode & 0o2000]).toEqual([name, 0]);
    for (const one of ["system.posix_acl_default", "system.posix_acl_access"]) {
      expect([name, native.getxattr(AT_FDCWD, path, one, Buffer.alloc(64))]).toEqual([name, -ENODATA]);
    }
  }
});

import { expect, test } from "vitest";
import { Stat } from "../layer/stat.js";
import { ociMounts } from "./oci-mounts.js";
import type { PlannedMount } from "./plan.js";
import { tmpfsAttributes, tmpfsOptions } from "./tmpfs.js";

const base: PlannedMount = {
  kind: "bind",
  source: "/h",
  target: "/t",
  readOnly: false,
  recursive: true,
  readOnlyRecursive: "no",
  propagation: "rprivate",
  flags: [],
  data: [],
};

test("mounts as an OCI runtime takes them", () => {
  const of = (mount: Partial<PlannedMount>, kernel = "6.1.0") => ociMounts([{ ...base, ...mount }], kernel)[0];
  expect(of({})).toEqual({ destination: "/t", type: "bind", source: "/h", options: ["rbind", "rw", "rprivate"] });
  const frozen = { readOnly: true, readOnlyRecursive: "try" } as const;
  expect(of(frozen)?.options).toEqual(["rbind", "rro", "rprivate"]);
  expect(of(frozen, "5.10.0-9")?.options).toEqual(["rbind", "ro", "rprivate"]);
  expect(of({ ...frozen, recursive: false })?.options).toEqual(["bind", "ro", "rprivate"]);
  expect(of({ kind: "tmpfs", source: "", flags: ["noexec"], data: ["size=1m"] })).toEqual({
    destination: "/t",
    type: "tmpfs",
    source: "tmpfs",
    options: ["noexec", "rw", "size=1m", "rprivate"],
  });
});

test("a tmpfs: the last word wins, and what is covered lends owner and mode", () => {
  const safe = ["noexec", "nosuid", "nodev"];
  expect(tmpfsAttributes({ flags: safe, readOnly: false })).toBe(0xe);
  expect(tmpfsAttributes({ flags: [...safe, "exec", "suid"], readOnly: true })).toBe(0x5);
  expect(tmpfsAttributes({ flags: ["strictatime", "noatime"], readOnly: false })).toBe(0x10);
  expect(tmpfsAttributes({ flags: ["noatime", "relatime"], readOnly: false })).toBe(0);
  const covered = new Stat();
  covered.mode = 0o41770;
  covered.uid = 5;
  covered.gid = 6;
  expect(tmpfsOptions({ flags: ["sync", "exec"], data: ["size=1m"] }, covered)).toBe(
    "source=tmpfs,mode=1770,uid=5,gid=6,sync,size=1m",
  );
  expect(tmpfsOptions({ flags: [], data: ["mode=700", "gid=1"] }, covered)).toBe("source=tmpfs,uid=5,mode=700,gid=1");
  expect(tmpfsOptions({ flags: [], data: [] }, undefined)).toBe("source=tmpfs");
});

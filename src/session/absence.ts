import { existsSync } from "node:fs";
import { ENODATA, EOPNOTSUPP } from "../errno.js";

/** There only while the kernel enforces or permits by SELinux. */
const selinux = existsSync("/sys/fs/selinux/enforce");

/**
 * What is said of an attribute that an object does not have. The kernel caches no attributes, and `ls -l` and `cp -a` ask each
 * file for its SELinux label, a message each; where no label means anything, "not supported" is as true, and they ask no more.
 */
export function absence(name: string): number {
  return name === "security.selinux" && !selinux ? -EOPNOTSUPP : -ENODATA;
}

import { shown } from "../text.js";

/**
 * Words that mount(8), fstab(5), libfuse and fuse-overlayfs give meaning to and that change nothing here, because cowfs does
 * it anyway, does it better, or another program has already acted on them. Access times are never written, whatever is said.
 */
const meaningless = new Set(
  (
    "defaults atime noatime relatime norelatime strictatime nostrictatime lazytime nolazytime auto noauto user nouser users " +
    "owner group nofail private shared slave rprivate rshared rslave _netdev loud silent iversion noiversion mand nomand " +
    "allow_root auto_unmount nonempty auto_cache kernel_cache intr nointr big_writes static_nlink ino32_t noacl " +
    "use_ino readdir_ino hard_remove large_read async_read sync_read atomic_o_trunc clone_fd drop_privileges " +
    "splice_read splice_write splice_move no_splice_read no_splice_write no_splice_move override_creds"
  ).split(" "),
);
const meaninglessSettings = new Set(
  (
    "sync subtype max_write max_read max_readahead max_background writeback threaded fast_ino plugins noxattrs " +
    "attr_timeout entry_timeout negative_timeout uid gid umask rootmode user_id group_id fd comment helper uhelper setuid " +
    "context fscontext defcontext rootcontext congestion_threshold"
  ).split(" "),
);

/** Whether an option of this name, with a value or without, is known to mean nothing. */
export function isMeaningless(name: string): boolean {
  return meaningless.has(name) || meaninglessSettings.has(name) || /^[xX]-/.test(name);
}

export function isMeaninglessSetting(name: string): boolean {
  return meaninglessSettings.has(name);
}

/** How many letters must be put in, left out, replaced or swapped with their neighbour to make one word of the other. */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let k = 1; k <= b.length; k++) {
      const same = a[i - 1] === b[k - 1];
      const least = Math.min((row[k - 1] ?? 0) + (same ? 0 : 1), (row[k] ?? 0) + 1, (next[k - 1] ?? 0) + 1);
      const swapped = i > 1 && k > 1 && a[i - 1] === b[k - 2] && a[i - 2] === b[k - 1];
      next.push(swapped ? Math.min(least, (before[k - 2] ?? 0) + 1) : least);
    }
    [before, row] = [row, next];
  }
  return row[b.length] ?? 0;
}

/** What is wrong with an option that nobody knows: the message names the known one that it is likely to be. */
export function unknownOption(item: string, effective: readonly string[]): string {
  const name = item.replace(/=.*/s, "").slice(0, 64);
  let nearest = "";
  let least = Math.min(3, Math.ceil(name.length / 3)) + 1;
  for (const known of [...effective, ...meaningless, ...meaninglessSettings]) {
    const far = distance(name, known);
    if (far < least) [nearest, least] = [known, far];
  }
  const hint = nearest === "" ? "cowfs mount --help lists those that are known" : `did you mean ${nearest}?`;
  return `the mount option ${shown(item)} is unknown: ${hint}`;
}

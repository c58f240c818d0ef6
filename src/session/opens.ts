/**
 * Whether opens are messages. Where they are, the kernel can be given a file of its own to read and write (passthrough); where they
 * are not, opening costs nothing. The kernel can be told once, and for good, that they are not.
 */
import { ignore } from "../errno.js";
import type { OpenFiles } from "../union/open-files.js";
import type { IoPolicy } from "./config.js";
import type { Notifier } from "./notify.js";

/**
 * An open that brought no backing file was a message for nothing. After so many, and so many for each that brought one, a mount is
 * one whose files are read far more often than written: no more messages.
 */
const vainMost = 512;
const vainForEach = 16;
/** After so many more, files that nobody uses any more are asked back from the kernel once again. */
const pruneEvery = 256;

export class Opens {
  /** OPEN and CREATE are answered ENOSYS: the kernel opens without a message, makes files by MKNOD, and RELEASE does not come. */
  silent: boolean;
  private vain = 0;
  private served = 0;

  /** `io`: the policy that the kernel and this process are able to follow. */
  constructor(
    readonly io: IoPolicy,
    private readonly files: OpenFiles,
    private readonly notifier: Notifier,
  ) {
    this.silent = io === "cached";
  }

  /** An open succeeded, with the backing of this id or none (0); with this very one `silent` may begin to hold. */
  note(backing: number): void {
    if (this.io !== "auto") return;
    if (backing > 0) this.served++;
    else this.vain++;
    if (this.vain < vainMost || this.vain <= this.served * vainForEach) return;
    if (this.files.isBound && this.vain % pruneEvery === 0) {
      ignore(this.notifier.prune(this.files.bound()), "before Linux 6.18 it cannot be told, and opens stay messages");
    }
    this.silent = !this.files.isBound;
  }
}

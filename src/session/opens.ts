/**
 * Whether opens are messages. Where they are, the kernel can be given a file of its own to read and write (passthrough); where they
 * are not, opening costs nothing. The kernel can be told once, and for good, that they are not.
 */
import type { OpenFiles } from "../union/open-files.js";
import type { IoPolicy } from "./config.js";

/**
 * An open that brought no backing file was a message for nothing. After so many, and so many for each that brought one, a mount is
 * one whose files are read far more often than written: no more messages.
 */
const vainMost = 512;
const vainForEach = 16;

export class Opens {
  /** OPEN and CREATE are answered ENOSYS: the kernel opens without a message, makes files by MKNOD, and RELEASE does not come. */
  silent: boolean;
  private vain = 0;
  private served = 0;

  /** `io`: the policy that the kernel and this process are able to follow. */
  constructor(
    readonly io: IoPolicy,
    private readonly files: OpenFiles,
  ) {
    this.silent = io === "cached";
  }

  /** An open succeeded, with the backing of this id or none (0); with this very one `silent` may begin to hold. */
  note(backing: number): void {
    if (this.io !== "auto") return;
    if (backing > 0) this.served++;
    else this.vain++;
    // Who has a backing file open would not see what others write into the kernel's cache.
    this.silent = this.vain >= vainMost && this.vain > this.served * vainForEach && this.files.backed === 0;
  }
}

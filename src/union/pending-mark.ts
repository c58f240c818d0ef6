/**
 * `overlay.cowfs.pending`, beside the mark of a metacopy: data is being copied into the file, or has been and is not synced yet. It
 * says what the metacopy was before; and, once its data is whole, in which boot of the machine that was written.
 */
import { Stat } from "../layer/stat.js";

export interface Pending {
  /** The metacopy: of it size, mode and times count. */
  readonly before: Stat;
  /** Its security.capability. */
  readonly capability: Buffer | null;
  /** The boot in which the copy was finished; "" while it is not. */
  readonly boot: string;
  /** How many bytes from the beginning must be there, without a hole, for the copy to be whole. */
  readonly covers: number;
}

/** Longest value that `encodePending` makes, but for a capability. */
export const PENDING_MOST = 512;

export function encodePending({ before, capability, boot, covers }: Pending): Buffer {
  const { size, mode, atime, atimeNsec, mtime, mtimeNsec } = before;
  const numbers = [size, mode & 0o7777, atime, atimeNsec, mtime, mtimeNsec].join(" ");
  const whole = boot === "" ? "" : ` ${boot} ${covers}`;
  return Buffer.from(`${numbers} ${capability?.toString("hex") ?? ""}${whole}`, "latin1");
}

const form =
  /^(\d{1,15}) (\d{1,4}) (-?\d{1,15}) (\d{1,9}) (-?\d{1,15}) (\d{1,9}) ([0-9a-f]*)(?: ([0-9a-f-]{1,36}) (\d{1,15}))?$/;

/** What `encodePending` wrote; null if it is something else. */
export function decodePending(text: string): Pending | null {
  const match = form.exec(text);
  if (match === null) return null;
  const number = (group: number): number => Number(match[group]);
  const before = new Stat();
  before.size = number(1);
  before.mode = number(2);
  before.setTimes(number(3), number(4), number(5), number(6));
  const capability = match[7] === "" ? null : Buffer.from(match[7] as string, "hex");
  return { before, capability, boot: match[8] ?? "", covers: match[9] === undefined ? 0 : number(9) };
}

/**
 * WORK/work/incompat/unsynced, there while copies are unsynced: their handles, so that the next mount settles them if this one is
 * killed, whatever they are called by then. And as with whatever is in `incompat`, kernel overlayfs refuses the work directory:
 * it would show what is below such copies.
 */
import { EEXIST, ignore } from "../errno.js";
import { AT_REMOVEDIR, O_CREAT, O_NONBLOCK, O_RDONLY, O_RDWR, O_TRUNC } from "../native/constants.js";
import { native } from "../native/index.js";

const DIRECTORY = "incompat";
const NAME = "incompat/unsynced";
/** The handle of any file system takes less. */
const LINE_MOST = 512;

export class UnsyncedLog {
  private fd = -1;
  private length = 0;
  private readonly handle = Buffer.alloc(LINE_MOST / 2);

  /** `inner`: WORK/work. */
  constructor(
    private readonly inner: number,
    private readonly boot: string,
  ) {}

  /** Notes the file `fd` before it appears in the upper: 0 or -errno. Two system calls, and two more for the first. */
  add(fd: number): number {
    const size = native.nameToHandle(fd, "", this.handle);
    if (size < 0) return size;
    if (this.fd < 0) {
      const made = native.mkdirAs(this.inner, DIRECTORY, 0o700, 0, 0);
      if (made < 0 && made !== -EEXIST) return made;
      const opened = native.openAs(this.inner, NAME, O_CREAT | O_TRUNC | O_RDWR, 0o600, 0, 0);
      if (opened < 0) return opened;
      this.fd = opened;
      this.length = 0;
      const head = this.append(`${this.boot}\n`);
      if (head < 0) return head;
    }
    return this.append(`${this.handle.subarray(0, size).toString("hex")}\n`);
  }

  private append(line: string): number {
    const written = native.pwrite(this.fd, Buffer.from(line, "latin1"), 0, line.length, this.length);
    if (written > 0) this.length += written;
    return Math.min(written, 0);
  }

  /** Nothing is unsynced any more. */
  clear(): void {
    if (this.fd < 0) return;
    ignore(native.close(this.fd), "it is removed");
    this.fd = -1;
    ignore(native.unlink(this.inner, NAME, 0), "what it names then has no marks any more");
    ignore(native.unlink(this.inner, DIRECTORY, AT_REMOVEDIR), "a volatile mount has its own mark there");
  }
}

/** The handles that a driver left behind in the work directory `work` in this boot of the machine. */
export function readUnsyncedLog(work: number, boot: string): Buffer[] {
  const fd = native.open(work, `work/${NAME}`, O_RDONLY | O_NONBLOCK, 0);
  if (fd < 0) return [];
  const chunk = Buffer.alloc(64 * 1024);
  let text = "";
  for (let at = 0; ; ) {
    const count = native.pread(fd, chunk, 0, chunk.length, at);
    if (count <= 0) break;
    text += chunk.latin1Slice(0, count);
    at += count;
  }
  ignore(native.close(fd), "only read");
  const [head, ...lines] = text.split("\n");
  if (head !== boot || boot === "") return [];
  return lines.filter((line) => /^([0-9a-f]{2}){9,256}$/.test(line)).map((line) => Buffer.from(line, "hex"));
}

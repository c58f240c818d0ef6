/**
 * WORK/work/incompat/unsynced, there while copies are unsynced: their handles, so that the next mount settles them if this one is
 * killed, whatever they are called by then. And as with whatever is in `incompat`, kernel overlayfs refuses the work directory:
 * it would show what is below such copies. It is not synced: after a crash of the machine it may have lost lines, and says only that
 * there were such copies. So it stays until the next mount has found them.
 */
import { EEXIST, EINVAL, ENOSPC, ignore, isAbsent } from "../errno.js";
import { STATX_ALL, Stat } from "../layer/stat.js";
import { AT_REMOVEDIR, O_CREAT, O_NONBLOCK, O_RDONLY, O_RDWR } from "../native/constants.js";
import { native } from "../native/index.js";

const DIRECTORY = "incompat";
const NAME = "incompat/unsynced";
/** The handle of any file system takes less. */
const LINE_MOST = 512;
/** Bytes of a log that was never empty for so long that most lines are of copies long settled: whoever needs it looks through the upper instead. */
const LOG_MOST = 8 << 20;
/** In the place of a boot. */
const USELESS = "-";
const stat = new Stat();

export class UnsyncedLog {
  private fd = -1;
  private length = 0;
  private readonly handle = Buffer.alloc(LINE_MOST / 2);

  /** `inner`: WORK/work. */
  constructor(
    private readonly inner: number,
    private readonly boot: string,
  ) {}

  /** Whether there are copies whose marks could not be taken away. */
  get isOpen(): boolean {
    return this.fd >= 0;
  }

  /** Goes on with the log of an earlier driver, if there is one: 0 or -errno. */
  resume(): number {
    const fd = native.open(this.inner, NAME, O_RDWR | O_NONBLOCK, 0);
    const r = fd < 0 ? fd : native.statx(fd, "", STATX_ALL, stat.bytes);
    if (r < 0 && fd >= 0) ignore(native.close(fd), "nothing was written through it");
    if (r < 0) return isAbsent(r) ? 0 : r;
    this.fd = fd;
    this.length = stat.size;
    return 0;
  }

  /** Notes the file `fd` before it appears in the upper: 0 or -errno. Two system calls, and two more for the first. */
  add(fd: number): number {
    const size = native.nameToHandle(fd, "", this.handle);
    if (size < 0) return size;
    if (this.fd < 0) {
      const made = native.mkdirAs(this.inner, DIRECTORY, 0o700, 0, 0);
      if (made < 0 && made !== -EEXIST) return made;
      const opened = native.openAs(this.inner, NAME, O_CREAT | O_RDWR, 0o600, 0, 0);
      if (opened < 0) return opened;
      this.fd = opened;
      this.length = 0;
    }
    if (this.length === 0) {
      const head = this.append(`${this.boot}\n`);
      if (head < 0) return head;
    }
    if (this.length > LOG_MOST) return Math.min(0, native.pwrite(this.fd, Buffer.from(USELESS), 0, 1, 0));
    return this.append(`${this.handle.subarray(0, size).toString("hex")}\n`);
  }

  /** 0 or -errno. A part of a line, which a disk that is nearly full takes, does not count: the next one is written over it. */
  private append(line: string): number {
    const written = native.pwrite(this.fd, Buffer.from(line, "latin1"), 0, line.length, this.length);
    if (written < line.length) return written < 0 ? written : -ENOSPC;
    this.length += written;
    return 0;
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

/**
 * The handles that an earlier driver left behind in the work directory `work`, null if it left none; or -errno, EINVAL where the log
 * is of another boot of the machine or has lines that make no sense.
 */
export function readUnsyncedLog(work: number, boot: string): Buffer[] | null | number {
  const fd = native.open(work, `work/${NAME}`, O_RDONLY | O_NONBLOCK, 0);
  if (fd < 0) return isAbsent(fd) ? null : fd;
  const chunk = Buffer.alloc(64 * 1024);
  let text = "";
  let count = 0;
  do {
    count = native.pread(fd, chunk, 0, chunk.length, text.length);
    if (count > 0) text += chunk.latin1Slice(0, count);
  } while (count > 0 && text.length <= 2 * LOG_MOST);
  ignore(native.close(fd), "only read");
  if (count !== 0) return Math.min(count, -EINVAL);
  const [head, ...lines] = text.replace(/\n$/, "").split("\n");
  if (head !== boot || boot === "" || !lines.every((line) => /^([0-9a-f]{2}){9,256}$/.test(line))) return -EINVAL;
  return lines.map((line) => Buffer.from(line, "hex"));
}

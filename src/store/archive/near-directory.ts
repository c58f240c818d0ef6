/** The directory in which the next entry of an archive most likely lies: that of the entry before, or one which that was about. */
import type { RunDirectory } from "./file-runs.js";

/** A directory of the layer that is open. */
export interface OpenDirectory {
  readonly fd: number;
  readonly path: string;
}

export class NearDirectory {
  /** Its path as the archive writes it. */
  private written = "";
  /** Undefined if nothing is near. */
  private parts: readonly string[] | undefined;
  /** While it is sure to be open. */
  private open: OpenDirectory | undefined;
  private forRuns: RunDirectory | undefined;

  /** `written`, which is not empty, are the components `parts`; `open` is that directory, and stays open until `forget`. */
  set(written: string, parts: readonly string[], open: OpenDirectory | undefined): void {
    this.written = written;
    this.parts = parts;
    this.open = open;
    this.forRuns = undefined;
  }

  /** The directory itself, whose path in the archive may end with slashes: megabytes of them, for which a regular expression would take its time. */
  setDirectory(path: string, parts: readonly string[]): void {
    let end = path.length;
    while (path[end - 1] === "/") end--;
    this.set(path.slice(0, end), parts, undefined);
  }

  /** Nothing is near: descriptors of directories may be closed, or directories replaced. */
  forget(): void {
    this.parts = undefined;
    this.open = undefined;
    this.forRuns = undefined;
  }

  /** The directory if a path in the archive, whose last slash is at `slash`, is that of something in it, and it is open. */
  of(path: string, slash: number): OpenDirectory | undefined {
    return this.open !== undefined && slash === this.written.length && path.startsWith(this.written)
      ? this.open
      : undefined;
  }

  /** The directory if the file whose header is at `start` may lie in it. `find` opens it. */
  ofRun(
    chunk: Buffer,
    start: number,
    find: (parts: readonly string[], create: boolean) => OpenDirectory,
  ): RunDirectory | undefined {
    if (this.forRuns !== undefined || this.parts === undefined) return this.forRuns;
    const { written } = this;
    if (this.open === undefined) {
      // Many directories have no files.
      if (chunk.toString("latin1", start, start + written.length + 1) !== `${written}/`) return undefined;
      this.open = find(this.parts, true);
    }
    const { fd, path } = this.open;
    this.forRuns = { fd, path, written: Buffer.from(written, "latin1"), real: Buffer.from(path, "latin1") };
    return this.forRuns;
  }
}

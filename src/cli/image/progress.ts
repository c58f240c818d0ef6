/** How far the reading of layers is: bars on a terminal, otherwise one line when a layer is there; on stderr, results are on stdout. */
import { MultiBar, type SingleBar } from "cli-progress";
import type { LoadEvent } from "../../store/load-images.js";
import { shortId } from "../../store/names.js";
import { complain } from "../exit.js";
import { size } from "../output/size.js";

/** Names of layers have this many characters. */
const nameWidth = 12;

/** Shows what happens while images are loaded; `end` must be called before anything else is printed. */
export interface Progress {
  tell(event: LoadEvent): void;
  end(): void;
}

export function layerProgress(quiet: boolean): Progress {
  if (quiet) return { tell: warnOnly, end: () => {} };
  return process.stderr.isTTY === true ? new Bars() : { tell: tellLine, end: () => {} };
}

function warnOnly(event: LoadEvent): void {
  if (event.kind === "warning") complain(event.message);
}

function tellLine(event: LoadEvent): void {
  const { stderr } = process;
  if (event.kind === "exists") stderr.write(`${shortId(event.diffId)}: already there\n`);
  else if (event.kind === "built") stderr.write(`${shortId(event.diffId)}: ${size(event.size)}\n`);
  else warnOnly(event);
}

class Bars implements Progress {
  private readonly bars = new Map<string, SingleBar>();
  private readonly warnings: string[] = [];
  private readonly multi = new MultiBar({
    format: "{name} {bar} {percentage}% {done}",
    stream: process.stderr,
    barsize: 30,
    barCompleteChar: "█",
    barIncompleteChar: "░",
    hideCursor: true,
    fps: 10,
    gracefulExit: false,
  });

  tell(event: LoadEvent): void {
    const name = shortId(event.diffId).padEnd(nameWidth);
    switch (event.kind) {
      case "exists":
        this.multi.create(1, 1, { name, done: "already there" });
        break;
      case "begins":
        this.bars.set(event.diffId, this.multi.create(Math.max(event.total, 1), 0, { name, done: size(event.total) }));
        break;
      case "progress":
        this.bars.get(event.diffId)?.update(event.read);
        break;
      case "built": {
        const bar = this.bars.get(event.diffId);
        bar?.update(bar.getTotal(), { done: size(event.size) });
        break;
      }
      case "warning":
        this.warnings.push(event.message);
    }
  }

  end(): void {
    this.multi.stop();
    for (const warning of this.warnings) complain(warning);
  }
}

/** A bar for one archive, on a terminal only. What is not known to have an end has none. */
export function singleProgress(quiet: boolean): { tell(read: number, total: number | undefined): void; end(): void } {
  if (quiet || process.stderr.isTTY !== true) return { tell: () => {}, end: () => {} };
  const bars = new Bars();
  let begun = false;
  return {
    tell: (read, total) => {
      if (total === undefined) return;
      if (!begun) bars.tell({ kind: "begins", diffId: "importing", total });
      begun = true;
      bars.tell({ kind: "progress", diffId: "importing", read });
    },
    end: () => bars.end(),
  };
}

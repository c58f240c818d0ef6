/** How far long work is, on stderr, since results are on stdout: bars on a terminal, otherwise a line when a layer is there; or events for programs. */
import { MultiBar, type SingleBar } from "cli-progress";
import type { LoadEvent } from "../../store/load-images.js";
import { shortId } from "../../store/names.js";
import { complain, UsageError } from "../exit.js";
import { size } from "../output/size.js";

/** Names of layers have this many characters. */
const nameWidth = 12;

/** Shows what happens while images are loaded; `end` must be called before anything else is printed. */
export interface Progress {
  tell(event: LoadEvent): void;
  end(): void;
}

export function layerProgress(form: ProgressForm): Progress {
  if (form === "tty") return new Bars();
  return { tell: { none: warnOnly, plain: tellLine, json: tellJson }[form], end: () => {} };
}

export type ProgressForm = "none" | "plain" | "tty" | "json";

/** What `--progress` and `--quiet` ask for. Throws UsageError. */
export function progressForm({ quiet, progress, json }: ProgressWords): ProgressForm {
  const word = progress ?? (quiet === true || json === true ? "none" : "auto");
  if (word === "auto") return process.stderr.isTTY === true ? "tty" : "plain";
  const form = (["none", "plain", "tty", "json"] as const).find((one) => one === word);
  if (form === undefined) throw new UsageError(`--progress ${word}: known are auto, plain, tty, json, none`);
  return form;
}

export interface ProgressWords {
  readonly quiet?: boolean;
  readonly progress?: string;
  readonly json?: boolean;
}

/** An object on a line of its own: what happened (`event`), and to what. */
function tellJson({ kind, ...rest }: LoadEvent): void {
  process.stderr.write(`${JSON.stringify({ event: kind, ...rest })}\n`);
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
    // For whoever asks for bars without a terminal.
    noTTYOutput: true,
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

/** How often a program is told how far one archive is, in milliseconds. */
const interval = 100;

/** The same for one archive, which `name` tells about; without a line when it is there. What is not known to have an end has no bar. */
export function singleProgress(
  form: ProgressForm,
  name: string,
): { tell(read: number, total: number | undefined): void; end(): void } {
  if (form === "json") {
    let next = 0;
    return {
      tell: (read, total) => {
        if (performance.now() < next && read !== total) return;
        next = performance.now() + interval;
        process.stderr.write(`${JSON.stringify({ event: "progress", read, ...(total !== undefined && { total }) })}\n`);
      },
      end: () => {},
    };
  }
  if (form !== "tty") return { tell: () => {}, end: () => {} };
  const bars = new Bars();
  let begun = false;
  return {
    tell: (read, total) => {
      if (total === undefined) return;
      if (!begun) bars.tell({ kind: "begins", diffId: name, total });
      begun = true;
      bars.tell({ kind: "progress", diffId: name, read });
    },
    end: () => bars.end(),
  };
}

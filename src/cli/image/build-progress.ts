/** How far a build is, on stderr: a line when a step begins and one when it ends, with what its program says between; on a terminal that goes when the step is done. */
import { stripVTControlCharacters } from "node:util";
import type { Outcome, Reporter, StepTitle } from "../../build/reporter.js";
import { shortId } from "../../store/names.js";
import { complain, UsageError } from "../exit.js";
import { colours } from "../output/colours.js";
import { size } from "../output/size.js";

export interface BuildReporter extends Reporter {
  /** The build is through. */
  close(): void;
  /** It has failed: what the last program said is shown, if it was not. */
  fail(): void;
}

/** `progress` is what the user says: plain, tty, or auto. Throws UsageError. */
export function buildReporter(progress: string | undefined, quiet: boolean): BuildReporter {
  const word = progress ?? "auto";
  if (!["auto", "plain", "tty"].includes(word)) throw new UsageError(`--progress ${word}: choose auto, plain or tty`);
  if (quiet) return new QuietReporter();
  const isTerminal = word === "tty" || (word === "auto" && process.stderr.isTTY === true);
  return isTerminal ? new TerminalReporter() : new PlainReporter();
}

function titleOf({ stage, number, count, source }: StepTitle): string {
  return `[${stage === "" ? "" : `${stage} `}${number}/${count}] ${source.replace(/\s+/g, " ")}`;
}

function outcomeText(outcome: Outcome, since: number): string {
  const layer = outcome.kind === "noted" || outcome.layer === undefined ? "" : ` ${shortId(outcome.layer)}`;
  if (outcome.kind === "cached") return `CACHED${layer}`;
  if (outcome.kind === "noted") return "";
  const seconds = ((performance.now() - since) / 1000).toFixed(1);
  return layer === "" ? `DONE ${seconds}s, no file changed` : `DONE ${seconds}s${layer} ${size(outcome.size)}`;
}

/** How much of what a program says is kept, for when it fails. */
const mostKept = 64 * 1024;

class QuietReporter implements BuildReporter {
  private kept: Buffer = Buffer.alloc(0);

  begins(): void {
    this.kept = Buffer.alloc(0);
  }

  output(bytes: Buffer): void {
    this.kept = Buffer.concat([this.kept, bytes]).subarray(-mostKept);
  }

  ends(): void {
    this.begins();
  }

  warn(message: string): void {
    complain(message);
  }

  close(): void {}

  fail(): void {
    if (this.kept.length === 0) return;
    process.stderr.write(this.kept);
    if (this.kept.at(-1) !== 0x0a) process.stderr.write("\n");
  }
}

class PlainReporter implements BuildReporter {
  private since = 0;
  private atLineStart = true;

  begins(step: StepTitle): void {
    this.since = performance.now();
    process.stderr.write(`${titleOf(step)}\n`);
  }

  output(bytes: Buffer): void {
    process.stderr.write(bytes);
    this.atLineStart = bytes.at(-1) === 0x0a;
  }

  ends(outcome: Outcome): void {
    this.close();
    const text = outcomeText(outcome, this.since);
    if (text !== "") process.stderr.write(`  ${text}\n`);
  }

  warn(message: string): void {
    this.close();
    complain(message);
  }

  close(): void {
    if (!this.atLineStart) process.stderr.write("\n");
    this.atLineStart = true;
  }

  fail(): void {
    this.close();
  }
}

/** How many of the last lines of a program are shown. */
const shownLines = 6;

/** The step that runs is redrawn with the last lines of its program. */
class TerminalReporter implements BuildReporter {
  private title = "";
  private since = 0;
  private drawn = 0;
  private kept: Buffer = Buffer.alloc(0);

  begins(step: StepTitle): void {
    this.title = titleOf(step);
    this.since = performance.now();
    this.kept = Buffer.alloc(0);
    this.draw([cut(this.title)]);
  }

  output(bytes: Buffer): void {
    this.kept = Buffer.concat([this.kept, bytes]).subarray(-mostKept);
    const { dim } = colours(process.stderr);
    this.draw([
      cut(this.title),
      ...this.lines()
        .slice(-shownLines)
        .map((line) => dim(cut(`  ${line}`))),
    ]);
  }

  ends(outcome: Outcome): void {
    const { bold } = colours(process.stderr);
    const text = outcomeText(outcome, this.since);
    this.draw([text === "" ? this.title : `${this.title}  ${bold(text)}`]);
    this.drawn = 0;
    this.kept = Buffer.alloc(0);
  }

  warn(message: string): void {
    this.drawn = 0;
    complain(message);
  }

  close(): void {}

  fail(): void {
    if (this.kept.length > 0) this.draw([this.title, ...this.lines()]);
    this.drawn = 0;
  }

  /** What was said, as lines that do no harm to the screen. */
  private lines(): string[] {
    const text = this.kept.toString("utf8").trimEnd();
    return text
      .split("\n")
      .map((line) =>
        stripVTControlCharacters(line.slice(line.trimEnd().lastIndexOf("\r") + 1)).replace(/\p{Cc}/gu, ""),
      );
  }

  private draw(lines: readonly string[]): void {
    const back = this.drawn > 0 ? `\x1b[${this.drawn}A\x1b[J` : "";
    process.stderr.write(`${back}${lines.join("\n")}\n`);
    this.drawn = lines.length;
  }
}

/** As much as one row of the screen takes: what takes more could not be redrawn. */
function cut(line: string): string {
  const { columns = 80 } = process.stderr;
  return line.length < columns ? line : `${line.slice(0, columns - 2)}…`;
}

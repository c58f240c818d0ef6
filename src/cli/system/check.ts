import type { Command } from "commander";
import { checkRoot } from "../../assemble/check/check.js";
import type { Finding } from "../../assemble/check/finding.js";
import { daemonMounter } from "../container/mounter.js";
import { EXIT_FAILURE, messageOf, print } from "../exit.js";
import { colours } from "../output/colours.js";
import { cell } from "../output/table.js";
import { rootOf } from "../root-option.js";

export interface CheckOptions {
  readonly repair?: boolean;
  readonly json?: boolean;
}

interface Outcome extends Finding {
  /** Why it is not mended, if it is not. */
  readonly left?: string;
}

/** `cowfs system check [--repair]`: exit code 1 if something was found that is not mended. */
export async function checkCommand(command: Command, options: CheckOptions): Promise<number> {
  const findings = await checkRoot(rootOf(command), daemonMounter);
  const outcomes: Outcome[] = [];
  for (const finding of findings)
    outcomes.push(options.repair === true ? await mended(finding) : { ...finding, left: "" });
  print(options.json === true ? jsonOf(outcomes) : textOf(outcomes, options.repair === true));
  return outcomes.some(({ left }) => left !== undefined) ? EXIT_FAILURE : 0;
}

async function mended(finding: Finding): Promise<Outcome> {
  if (finding.repair === undefined) return { ...finding, left: "" };
  try {
    await finding.repair();
    return finding;
  } catch (error) {
    return { ...finding, left: messageOf(error) };
  }
}

function jsonOf(outcomes: readonly Outcome[]): string {
  const objects = outcomes.map(({ what, problem, remedy, repair, left }) => ({
    what,
    problem,
    remedy,
    repairable: repair !== undefined,
    repaired: left === undefined,
    error: left || null,
  }));
  return `${JSON.stringify(objects, null, 2)}\n`;
}

/** One line for each finding: what it is, and what was or would be done. */
function textOf(outcomes: readonly Outcome[], isRepair: boolean): string {
  const { green, yellow, red } = colours();
  if (outcomes.length === 0) return `${green("ok")}: nothing is wrong\n`;
  const lines = outcomes.map(({ what, problem, remedy, repair, left }) => {
    let [word, tail] = [yellow("found"), `--repair would ${remedy}`];
    if (left === undefined) [word, tail] = [green("mended"), remedy];
    else if (repair === undefined) [word, tail] = [red("damaged"), remedy];
    else if (isRepair) [word, tail] = [red("not mended"), `${left} (${remedy})`];
    return `${word}: ${cell(`${what}: ${problem} (${tail})`)}\n`;
  });
  const open = outcomes.filter(({ left }) => left !== undefined).length;
  return `${lines.join("")}${outcomes.length} found, ${outcomes.length - open} mended, ${open} left\n`;
}

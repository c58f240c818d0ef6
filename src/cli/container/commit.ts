import { commitContainer } from "../../assemble/commit.js";
import { findContainer } from "../../store/containers.js";
import type { DataRoot } from "../../store/data-root.js";
import { imageName } from "../../store/names.js";
import { complain, print } from "../exit.js";
import { daemonMounter } from "./mounter.js";

export interface CommitWords {
  readonly message?: string;
  readonly author?: string;
  readonly change?: string[];
  /** False after `--no-pause` or `--pause=false`. */
  readonly pause?: boolean | string;
}

/** `cowfs commit`: prints the id of the new image. Returns the exit code. */
export async function commitCommand(
  root: DataRoot,
  name: string,
  image: string | undefined,
  { message, author, change = [], pause = true }: CommitWords,
): Promise<number> {
  const { id, warnings } = await commitContainer(root, findContainer(root, name), daemonMounter, {
    names: image === undefined ? [] : [imageName(image)],
    ...(message === undefined ? {} : { message }),
    ...(author === undefined ? {} : { author }),
    changes: change,
    pause: pause === true || pause === "true",
  });
  for (const warning of warnings) complain(warning);
  print(`${id}\n`);
  return 0;
}

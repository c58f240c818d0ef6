import type { DataRoot } from "../../store/data-root.js";
import { createAnonymousVolume, ensureVolume } from "../../store/volumes.js";
import { print, UsageError } from "../exit.js";

/** `cowfs volume create`. Returns the exit code. */
export async function createCommand(
  root: DataRoot,
  name: string | undefined,
  { driver, label, opt }: { driver?: string; label?: string[]; opt?: string[] },
): Promise<number> {
  const wish = { driver, labels: pairs(label ?? [], "--label"), options: pairs(opt ?? [], "--opt") };
  const volume = await (name === undefined ? createAnonymousVolume(root, wish) : ensureVolume(root, name, wish));
  print(`${volume.name}\n`);
  return 0;
}

/** `KEY=VALUE` words; the value may be missing. Throws UsageError for a missing key. */
function pairs(words: readonly string[], option: string): Record<string, string> {
  return Object.fromEntries(
    words.map((word) => {
      const [key = "", value = ""] = word.split(/=(.*)/s, 2);
      if (key === "") throw new UsageError(`${option} needs KEY=VALUE, not ${JSON.stringify(word)}`);
      return [key, value];
    }),
  );
}

import { describe, test } from "vitest";
import { compareTrees, type Layers, Merged, withoutNow } from "./merged.js";
import { ioPolicy, type Kind, kinds, mountStack, unmount } from "./mounts.js";

/** One behaviour, as layers and what is done in their union; it runs on each kind, and all must answer the same. */
export interface Case extends Layers {
  readonly name: string;
  /** See steps.ts. */
  readonly steps?: string;
  /** What cannot be said in steps. Failures are thrown. */
  readonly run?: (merged: Merged) => Promise<void>;
  /** Why it does not run on a kind. */
  readonly skip?: Partial<Record<Kind, string>>;
  /** Why what it answers on a kind is not compared with the native directory. */
  readonly differs?: Partial<Record<Kind, string>>;
  /** Why the case is not for a run under `--io passthrough` (COWFS_TEST_IO). */
  readonly notPassthrough?: string;
  /** What of the trees is compared (words of tools/trees.py). `none` if the final tree means nothing. */
  readonly tree?: string;
  /** Why the tree is not looked at again through the other union file system (layers in a format that overlayfs cannot read). */
  readonly foreign?: string;
  /** Why the work directory is not clean after unmounting. */
  readonly litter?: string;
  /** Milliseconds. */
  readonly timeout?: number;
}

interface Outcome {
  readonly transcript: readonly string[];
  readonly tree: Record<string, string>;
  readonly failures: readonly string[];
}

/** Runs a case on one kind, with every check that holds for all of them. */
async function execute(one: Case, kind: Kind): Promise<Outcome> {
  const merged = new Merged(kind, one);
  let tree: Record<string, string> = {};
  try {
    await merged.start();
    if (one.steps !== undefined) {
      await merged.steps(one.steps);
    }
    await one.run?.(merged);
    if (one.tree !== "none") {
      tree = await afterwards(one, merged);
    }
    await merged.unmount();
    await merged.checkLowers();
    if (one.litter === undefined) {
      await merged.checkLitter();
    }
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? ` (${error.cause.message})` : "";
    merged.failures.push(`${error instanceof Error ? error.message : String(error)}${cause}${merged.driverLog()}`);
  } finally {
    await merged.finish();
  }
  return { transcript: merged.transcript, tree, failures: merged.failures };
}

/** The final tree, which must be the same after a remount, and through the other union file system. */
async function afterwards(one: Case, merged: Merged): Promise<Record<string, string>> {
  const words = one.tree ?? "dirtimes";
  await merged.endWorkers();
  const final = await merged.view(words);
  if (merged.kind === "native") {
    return withoutNow(final);
  }
  await merged.remount();
  note(merged, "after a remount", compareTrees(final, await merged.view(words)));
  const other: Kind = merged.kind === "cowfs" ? "overlay" : "cowfs";
  if (one.foreign === undefined && kinds.includes(other)) {
    await merged.unmount();
    if (one.litter === undefined) {
      await merged.checkLitter();
    }
    // With the same work directory: what hard links have in common is in its index.
    const options = other === "overlay" ? [] : ["--log", merged.area.at("driver.log")];
    await mountStack(other, merged.stack, merged.root, options);
    try {
      note(merged, `seen through ${other}`, compareTrees(final, await merged.view(words)));
    } finally {
      await unmount(merged.root);
      await merged.driverEnds();
    }
  }
  return withoutNow(final);
}

function note(merged: Merged, when: string, difference: string): void {
  if (difference !== "") {
    merged.failures.push(`the tree differs ${when}:\n${difference}`);
  }
}

/** Lines that differ, side by side. */
function compareTranscripts(native: readonly string[], other: readonly string[]): string {
  return native
    .map((line, index) => ({ line, second: other[index] ?? "(nothing)" }))
    .filter(({ line, second }) => line !== second)
    .map(
      ({ line, second }) =>
        `    ${line.slice(0, 400)}\n    ${" ".repeat(line.split(" => ")[0]?.length ?? 0)} => ${(second.split(" => ")[1] ?? second).slice(0, 400)}`,
    )
    .join("\n");
}

/** Declares the tests of a theme: each case on each kind, compared with the native directory. */
export function cases(theme: string, list: readonly Case[]): void {
  describe(theme, () => {
    for (const one of list) {
      let native: Promise<Outcome> | undefined;
      const reference = (): Promise<Outcome> => {
        native ??= execute(one, "native");
        return native;
      };
      for (const kind of kinds) {
        const policy = kind === "cowfs" && ioPolicy === "passthrough" ? one.notPassthrough : undefined;
        const reason = one.skip?.[kind] ?? policy;
        if (reason !== undefined) {
          test.skip(`${one.name} · ${kind} (${reason})`);
          continue;
        }
        test(`${one.name} · ${kind}`, { timeout: one.timeout ?? 120_000 }, async () => {
          const outcome = kind === "native" ? await reference() : await execute(one, kind);
          const complaints = [...outcome.failures];
          if (kind !== "native" && one.skip?.native === undefined && one.differs?.[kind] === undefined) {
            const expected = await reference();
            const answers = compareTranscripts(expected.transcript, outcome.transcript);
            if (answers !== "") {
              complaints.push(`answers otherwise than a native directory:\n${answers}`);
            }
            const tree = outcome.failures.some((failure) => failure.startsWith("at step"))
              ? ""
              : compareTrees(expected.tree, outcome.tree);
            if (tree !== "") {
              complaints.push(`leaves another tree than a native directory does (- native, + ${kind}):\n${tree}`);
            }
          }
          if (complaints.length > 0) {
            const error = new Error(
              `${complaints.join("\n")}\n  steps:\n${outcome.transcript.map((line) => `    ${line.slice(0, 300)}`).join("\n")}`,
            );
            error.stack = error.message;
            throw error;
          }
        });
      }
    }
  });
}

import { shell } from "../harness/command.js";
import { expectEqual, program, script } from "../harness/programs.js";

/** A history with branches, renames and deletions, written as a stream for fast-import. */
function history(): string {
  const lines: string[] = [];
  for (let commit = 1; commit <= 60; commit++) {
    const branch = commit % 15 === 0 ? `side${commit}` : "main";
    const message = `commit ${commit}\n`;
    lines.push(`commit refs/heads/${branch}`, `mark :${commit}`);
    lines.push(`committer c <c@example.org> ${1_500_000_000 + commit * 60} +0000`, `data ${message.length}`, message);
    if (commit > 1) {
      lines.push(`from :${commit % 15 === 1 ? commit - 2 : commit - 1}`);
    }
    for (let file = 0; file < 12; file++) {
      const content = `${`line of file ${file} in commit ${commit}\n`.repeat(file * 20 + 1)}`;
      lines.push(
        `M ${file % 5 === 0 ? "100755" : "100644"} inline dir${(commit + file) % 7}/sub${file % 3}/file${file}`,
      );
      lines.push(`data ${content.length}`, content);
    }
    if (commit % 10 === 0) {
      lines.push(`D dir${commit % 7}`);
    }
  }
  return `${lines.join("\n")}\n`;
}

program("git", [
  {
    name: "clone, checkout, commit, rebase, gc and fsck, in repositories of lower and upper layers",
    prepare: async ({ area, lowers }) => {
      const env = { ...process.env, HOME: area.path, GIT_CONFIG_NOSYSTEM: "1" };
      await shell("git init -q -b main lower && cd lower && git fast-import --quiet && git checkout -qf main", {
        cwd: lowers[0] ?? "",
        input: history(),
        env,
      });
    },
    run: async (merged) => {
      const clean = "git status --porcelain";
      // The lower repository itself: its index, refs and packs are copied up as git replaces them.
      expectEqual(merged, "status of the lower repository", await script(merged, clean, "lower"), "");
      const branches = (await script(merged, "git branch --format='%(refname:short)'", "lower")).trim().split("\n");
      for (const branch of branches) {
        await script(merged, `git checkout -q ${branch} && git diff --quiet && git diff --quiet --cached`, "lower");
        expectEqual(merged, `status of ${branch}`, await script(merged, clean, "lower"), "");
      }
      await script(
        merged,
        "git checkout -q main && echo more >> dir1/sub0/file0 && git mv dir2 moved && git commit -qam changed",
        "lower",
      );
      await script(
        merged,
        "git checkout -qb topic main~8 && for i in 1 2 3; do seq $i 500 > topic$i; git add .; git commit -qm t$i; done",
        "lower",
      );
      await script(
        merged,
        "git rebase -q main && git checkout -q main && git merge -q --no-ff -m merged topic && git branch -qd topic",
        "lower",
      );
      await script(merged, "git repack -adq && git gc -q --prune=now && git fsck --strict --full 2>&1", "lower");
      expectEqual(merged, "status after gc", await script(merged, clean, "lower"), "");

      await script(merged, "git clone -q lower local && git clone -q --no-hardlinks file://$PWD/lower remote");
      for (const clone of ["local", "remote"]) {
        await script(
          merged,
          "for i in 1 2 3; do echo $i > new$i; git add new$i; git commit -qm $i; done; git stash list; git tag t",
          clone,
        );
        await script(merged, "git gc -q --aggressive --prune=now && git fsck --strict --full", clone);
        await script(
          merged,
          "git worktree add -q ../tree-of-$(basename $PWD) t && git -C ../tree-of-$(basename $PWD) status --porcelain",
          clone,
        );
      }
      await script(
        merged,
        "git pull -q --no-rebase ../remote main && git push -q ../local HEAD:refs/heads/pushed",
        "lower",
      );
      const wanted = await script(merged, "git rev-parse HEAD HEAD^{tree}", "lower");
      await merged.remount();
      expectEqual(
        merged,
        "HEAD after a remount",
        await script(merged, "git rev-parse HEAD HEAD^{tree}", "lower"),
        wanted,
      );
      await script(
        merged,
        "for r in lower local remote; do git -C $r fsck --strict --full; git -C $r status --porcelain; done",
      );
      expectEqual(merged, "the tree that is checked out", await script(merged, "git diff HEAD --stat", "lower"), "");
    },
  },
]);

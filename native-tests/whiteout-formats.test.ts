import { expect, test } from "vitest";
import { Area } from "./harness/area.js";
import { cases } from "./harness/cases.js";
import { attempt, shell } from "./harness/command.js";
import { cowfs, cowfsProgram } from "./harness/mounts.js";

const unread = "kernel overlayfs does not read this format";
const long = "n".repeat(255);

cases("--whiteout aufs", [
  {
    name: "names removed, renamed, exchanged and made anew show right, over a remount too",
    lowers: [
      { f: "f", g: "g", h: "h", "d/x": "x", "e/y": "y", "k/z": "z", [long]: "long", "dir/a": "a", "dir/b": "b" },
    ],
    options: { cowfs: ["--whiteout", "aufs"] },
    skip: { overlay: unread },
    foreign: unread,
    steps: `
      unlink f
      put f new
      unlink g
      stat g -> ENOENT
      unlink ${long}
      stat ${long} -> ENOENT
      rename h f
      stat h -> ENOENT
      unlink d/x
      rmdir d
      mkdir d
      put d/n n
      put .wh.e mine
      rename e d2
      cat d2/y -> y
      stat e -> ENOENT
      put .wh..wh..opq user
      put d/.wh..wh..opq user
      cat d/.wh..wh..opq -> user
      mkdir full
      put full/1 1
      rename full e
      unlink k/z
      mkdir empty
      rename empty k
      unlink dir/a
      rename dir dir2
      ls dir2 -> b
    `,
  },
]);

test("fuse-overlayfs reads what --whiteout aufs writes", { timeout: 120_000 }, async () => {
  const area = new Area();
  try {
    await shell(
      `cd ${area.path}; mkdir -p l/d l/e u m; echo 1 >l/f; echo 2 >l/d/x; echo 3 >l/e/y
      ${cowfsProgram} mount --whiteout aufs --lower l --upper u --work w m
      rm -r m/f m/d m/e; mkdir m/d; echo new >m/d/n
      ${cowfsProgram} umount m
      test -f u/.wh.f; test -f u/d/.wh..wh..opq; ! find u -type c | grep .
      fuse-overlayfs -o lowerdir=u:l m; ls m m/d >list; umount m`,
      { timeout: 100_000 },
    );
    expect((await attempt("cat", [area.at("list")])).stdout).toBe("m:\nd\n\nm/d:\nn\n");
  } finally {
    await area.remove();
  }
});

test("an unknown format is refused, naming the choices", async () => {
  const { status, stderr } = await cowfs(["mount", "--whiteout", "paint", "--lower", "/usr", "/mnt"]);
  expect(status).toBe(2);
  expect(stderr).toContain("auto, overlay or aufs");
});

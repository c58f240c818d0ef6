import { expect, test } from "vitest";
import { Area } from "./harness/area.js";
import { cases } from "./harness/cases.js";
import { attempt, shell } from "./harness/command.js";
import { link, type Tree } from "./harness/layers.js";
import { compareTrees, type Merged } from "./harness/merged.js";
import { cowfs, cowfsProgram, mountStack, unmount } from "./harness/mounts.js";

const formats = ["overlay", "aufs", "xattr"] as const;
const others = "each format is compared with a native directory; kernel overlayfs reads the uppers as lower layers";
const long = "n".repeat(255);

const lower: Tree = {
  f: "f",
  g: "g",
  h: "h",
  [long]: "long",
  "d/x": "x",
  "e/y": "y",
  "k/z": "z",
  "dir/a": "a",
  "dir/b": "b",
  "dir/sub/c": "c",
  "dir/sub/gone": "gone",
  "swap/1": "1",
  swapped: "2",
  "from/q": "q",
  "into/q": "Q",
  "into/r": "R",
  s: link("f"),
};

const everything = `
  unlink f
  stat f -> ENOENT
  put f new
  unlink f
  stat f -> ENOENT
  mkdir f
  ls f -> ""
  rmdir f
  put f again
  unlink g
  stat g -> ENOENT
  unlink ${long}
  stat ${long} -> ENOENT
  rename h f
  stat h -> ENOENT
  unlink s
  symlink g s
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
  ls k -> ""
  unlink dir/a
  unlink dir/sub/gone
  rename dir dir2
  ls dir2 -> b sub
  ls dir2/sub -> c
  rename dir2/sub g
  ls g -> c
  rename dir2 dir
  ls dir -> b
  rename swap swapped RENAME_EXCHANGE
  cat swap -> 2
  ls swapped -> 1
  rename swapped/1 swapped/2
  unlink into/r
  unlink into/q
  rename from/q into/q
  rename into from
  ls from -> below q
  cat from/q -> q
  rename from dir/b -> ENOTDIR
  unlink dir/b
  rename from dir/b
  ls dir/b -> below q
`;

const later = `
  stat h -> ENOENT
  ls g -> c
  ls dir -> b
  put dir/sub file
  unlink g/c
  rename d2 g
  cat g/y -> y
  unlink g/y
  put g/y anew
  rename swapped d2
  cat d2/2 -> 1
  unlink d2/2
  stat d2/1 -> ENOENT
  mkdir d2/1
  rmdir d2/1
`;

/** The upper, as a lower layer, through kernel overlayfs: it must show what cowfs shows. */
async function throughKernel(merged: Merged): Promise<void> {
  const seen = await merged.view();
  await merged.unmount();
  await mountStack("overlay", { lowers: [merged.upper, ...merged.lowers] }, merged.root);
  try {
    expect(compareTrees(seen, await merged.view())).toBe("");
  } finally {
    await unmount(merged.root);
  }
  await merged.mount();
}

cases("whiteout formats", [
  ...formats.map((format) => ({
    name: `--whiteout ${format}: names removed, renamed, exchanged and made anew show right, over remounts too`,
    lowers: [lower, { "e/hidden": "below", "into/below": "below" }],
    options: { cowfs: ["--whiteout", format] },
    skip: { overlay: others },
    foreign: others,
    steps: `${everything}\nremount\n${later}`,
    run: async (merged: Merged) => {
      // It does not know `.wh.` files, and looks for whiteouts by attribute in lower layers only.
      if (merged.kind === "cowfs" && format !== "aufs") await throughKernel(merged);
    },
  })),
  {
    name: "one upper, another format at each mount",
    lowers: [lower, { "e/hidden": "below", "into/below": "below" }],
    skip: { overlay: others },
    foreign: others,
    run: async (merged) => {
      const steps = everything.trim().split("\n");
      for (let at = 0; at * 6 < steps.length; at++) {
        await merged.steps(steps.slice(at * 6, at * 6 + 6).join("\n"));
        if (merged.kind === "native") continue;
        await merged.unmount();
        await merged.mount(["--whiteout", formats[at % 3] as string]);
      }
      await merged.steps(later);
    },
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

test("a branch of AUFS as the upper: its own files never show, and stay; it is written on in its format", async () => {
  const area = new Area();
  try {
    await shell(
      `cd ${area.path}; mkdir -p l/d l/gone u/.wh..wh.plnk u/.wh..wh.orph u/d m
      echo low >l/f; echo low >l/g; echo low >l/d/x; echo low >l/gone/y
      touch u/.wh..wh.aufs u/.wh.f u/.wh.gone u/d/.wh..wh..opq; echo link >u/.wh..wh.plnk/1.2; echo lost >u/.wh..wh.orph/3; echo up >u/d/n
      ${cowfsProgram} mount --whiteout aufs --lower l --upper u --work w m
      ls -A m m/d >list; { stat m/.wh..wh.plnk m/.wh..wh.orph m/.wh..wh.aufs 2>&1 || true; } | grep -c 'No such' >>list
      rm m/g; echo new >m/f; rm -r m/d; mkdir m/d; echo back >m/gone
      ${cowfsProgram} umount m
      ! find u -type c | grep .
      find u | LC_ALL=C sort >>list; cat u/f u/gone u/.wh..wh.plnk/1.2 u/.wh..wh.orph/3 >>list`,
      { timeout: 100_000 },
    );
    expect((await attempt("cat", [area.at("list")])).stdout.trim().split("\n")).toEqual([
      ...["m:", "d", "g", "", "m/d:", "n", "3"],
      ...["u", "u/.wh..wh.aufs", "u/.wh..wh.orph", "u/.wh..wh.orph/3", "u/.wh..wh.plnk", "u/.wh..wh.plnk/1.2"],
      ...["u/.wh.g", "u/d", "u/d/.wh..wh..opq", "u/f", "u/gone", "new", "back", "link", "lost"],
    ]);
  } finally {
    await area.remove();
  }
});

test("--whiteout xattr: attributes of empty files in directories that say so, no devices and no .wh. files", async () => {
  const area = new Area();
  try {
    await shell(
      `cd ${area.path}; mkdir -p l/d l/e/s u m; for n in a b c; do echo $n >l/$n; echo $n >l/d/$n; echo $n >l/e/$n; done
      options=; for attribute in trusted user; do
        test $attribute = trusted || options='-o userxattr'
        ${cowfsProgram} mount --whiteout xattr $options --lower l --upper u --work w m
        rm m/a m/d/a; mv m/b m/d/n; rm -r m/e; mkdir m/e; mv m/d/b m/e/a
        ${cowfsProgram} umount m
        ! find u -type c -o -name '.wh.*' | grep .
        getfattr -R -h -d -m overlay.whiteout --absolute-names u | grep '^# file' | sort >got
        printf '# file: u/%s\\n' a b d/a d/b | sort | cmp - got
        for d in u u/d; do test "$(getfattr -n $attribute.overlay.opaque --only-values $d)" = x; done
        test "$(getfattr -n $attribute.overlay.opaque --only-values u/e)" = y
        test "$(stat -c '%s %a %h' u/a)" = '0 444 4'
        rm -r u w; mkdir u
      done`.replaceAll("\\$", "$"),
      { timeout: 100_000 },
    );
  } finally {
    await area.remove();
  }
});

test("an unknown format is refused, naming the choices", async () => {
  const { status, stderr } = await cowfs(["mount", "--whiteout", "paint", "--lower", "/usr", "/mnt"]);
  expect(status).toBe(2);
  expect(stderr).toContain("auto, overlay, aufs or xattr");
});

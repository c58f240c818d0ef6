/** Union file systems on each other: marks of one are data for the other, and nothing is taken for what it is not. */
import { describe, expect, test } from "vitest";
import { Area } from "./harness/area.js";
import { shell } from "./harness/command.js";
import { cowfsProgram as cowfs } from "./harness/mounts.js";

/** Functions of the scripts: `list DIR` shows all that users see of a tree, `escaped N DIR` the marks that are N times escaped. */
const functions = `
  set -E; trap 'echo "failed: $BASH_COMMAND" >&2' ERR
  list() (cd $1; find . -printf '%P %y %m %U:%G %l\\n' | sort; find . -type f -exec md5sum {} + | sort -k2
    find . \\( -type d -o -type f \\) -print0 | sort -z | xargs -0 getfattr -h -d -m '^(user|trusted[.]overlay)[.]')
  layer() { mkdir -p $1/d/sub $1/gone/deep $1/ren/in $1/keep; for f in a b c d/x d/sub/y gone/deep/z ren/in/w keep/k keep/q; do echo $f >$1/$f; done
    ln $1/a $1/keep/a2; setfattr -n user.mine -v 1 $1/b; }
  change() (cd $1; rm a; rm -r gone; mkdir gone; echo new >gone/new; mv ren renamed; rm renamed/in/w; mv b keep/b; chmod 600 c
    echo more >>d/x; rm d/sub/y; mv d/sub sub; rm keep/q; mkdir keep/q; rm -r keep/q; echo data >.wh.mine; mkdir a; rmdir a; echo A >a
    setfattr -n user.overlay.opaque -v y d; setfattr -n trusted.overlay.opaque -v y d; setfattr -n trusted.overlay.redirect -v /c d/x
    setfattr -n trusted.overlay.whiteout -v y c; setfattr -n user.overlay.metacopy -v m c; setfattr -n user.containers.override_stat -v 1:1:0 c)
  off() { case $(findmnt -n -o FSTYPE $1) in fuse.cowfs) ${cowfs} umount $1;; *) umount $1;; esac; }
  later() (cd $1; mv renamed ren; mv sub d/sub; rm keep/k; echo B >keep/b; rm -r gone; cat d/x a2 2>/dev/null || true; mv a d/sub)
`;

/** Runs a script in an area of its own; `off DIR` unmounts, and waits for the driver. */
async function run(script: string): Promise<void> {
  const area = new Area();
  const complaints: string[] = [];
  try {
    await shell(`cd ${area.path}; ${functions} ${script}`, { timeout: 200_000 });
  } catch (error) {
    complaints.push(String(error));
  }
  complaints.push(...(await area.remove()));
  expect(complaints).toEqual([]);
}

const middles = {
  cowfs: `${cowfs} mount --lower bl --upper bu --work bw b`,
  "kernel overlayfs": "mount -t overlay -o redirect_dir=on,metacopy=on,lowerdir=bl,upperdir=bu,workdir=bw overlay b",
};

describe("lower and upper in another union", () => {
  for (const [name, middle] of Object.entries(middles)) {
    for (const options of ["", "--whiteout xattr", "-o userxattr --whiteout xattr"]) {
      test(`cowfs ${options} on ${name}`, { timeout: 240_000 }, async () => {
        await run(`
          mkdir -p bl bu bw b m plain; layer bl/l; cp -a bl/l/. plain; mkdir bl/u; echo below >bl/u/below; echo below >plain/below
          change plain; list plain >wanted
          above() { ${cowfs} mount ${options} --lower b/l --upper b/u --work b/w m; }
          anew() { off m; off b; ${middle}; above; }
          ${middle}; above
          change m; list m >seen; diff wanted seen
          anew; list m >seen; diff wanted seen
          later m >said; later plain >wanted; diff wanted said
          list plain >wanted; list m >seen; diff wanted seen
          anew; list m >seen; diff wanted seen
          off m; off b
          # The lower layer is as it was; marks that users set are escaped twice, by the kernel only those of the family that it writes itself.
          layer again; setfattr -x user.mine again/b; setfattr -n user.mine -v 1 again/b; list again >wanted; list bl/l >seen; diff wanted seen
          getfattr -R -h -d -m 'overlay[.]overlay[.]' bu >escaped; grep -q '^trusted.overlay.overlay.overlay.opaque="y"' escaped; grep -q '^user.overlay.overlay.${name === "cowfs" ? "overlay." : ""}metacopy="m"' escaped
        `);
      });
    }
  }
});

describe("a layer with marks that is copied into a union is a layer there", () => {
  const inners = {
    cowfs: middles.cowfs,
    "kernel overlayfs": middles["kernel overlayfs"],
  };
  const tops = {
    cowfs: `${cowfs} mount --lower b/u:l m`,
    "kernel overlayfs": "mount -t overlay -o redirect_dir=follow,metacopy=on,lowerdir=b/u:l overlay m",
  };
  for (const [name, inner] of Object.entries(inners)) {
    for (const [topName, top] of Object.entries(tops)) {
      // The kernel escapes the attributes of one family only, cowfs those of both.
      const shown = topName === "cowfs" ? "" : "| sed 's/user.overlay.overlay/user.overlay/'";
      test(`${topName} over ${name}`, { timeout: 240_000 }, async () => {
        await run(`
          mkdir -p bl bu bw b m u; layer l
          ${cowfs} mount --whiteout xattr --lower l --upper u --work w m; change m; list m >wanted; off m
          ${inner}; cp -a u b/u
          # The metadata of a mark is what users of the union below see.
          test "$(getfattr -n trusted.overlay.opaque --only-values b/u/gone)" = y; test "$(getfattr -n trusted.overlay.opaque --only-values b/u)" = x
          ${top}; list m ${shown} >seen; diff wanted seen; off m
          off b; ${inner}
          ${top}; list m ${shown} >seen; diff wanted seen; off m
          off b
        `);
      });
    }
  }
});

test(
  "devices 0:0 in a cowfs mount are whiteouts of the union above, over remounts of both",
  { timeout: 240_000 },
  async () => {
    await run(`
    mkdir -p bl bu bw b m; layer bl/l; layer l
    below() { ${middles.cowfs}; }
    below; mkdir b/top; mknod b/top/a c 0 0; mkdir b/top/keep; mknod b/top/keep/k c 0 0
    for once in 1 2; do
      test -c b/top/a; test -c b/top/keep/k
      mount -t overlay -o lowerdir=b/top:l overlay m; test ! -e m/a; test ! -e m/keep/k; test -e m/keep/q; off m
      ${cowfs} mount --lower b/top:l m; test ! -e m/a; test ! -e m/keep/k; test -e m/keep/q; off m
      off b; below
    done
    off b
  `);
  },
);

test(
  "kernel overlayfs with its upper in a cowfs mount, where the kernel takes such an upper",
  { timeout: 240_000 },
  async () => {
    await run(`
    mkdir -p bl bu bw b l m; layer l; cp -a l plain; change plain; list plain >wanted
    below() { ${middles.cowfs}; }
    above() { mount -t overlay -o redirect_dir=on,metacopy=on,lowerdir=l,upperdir=b/u,workdir=b/w overlay m 2>err; }
    below; mkdir b/u b/w
    if above; then
      change m; list m >seen; diff wanted seen
      off m; off b; below; above; list m >seen; diff wanted seen
      later m; later plain; list plain >wanted; list m >seen; diff wanted seen
      off m
    else
      grep -q 'wrong fs type' err
    fi
    off b
  `);
  },
);

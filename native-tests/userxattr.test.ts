import { expect, test } from "vitest";
import { Area } from "./harness/area.js";
import { cases } from "./harness/cases.js";
import { shell } from "./harness/command.js";
import { hard, link } from "./harness/layers.js";
import { cowfsProgram as cowfs } from "./harness/mounts.js";

async function inArea(script: string): Promise<string> {
  const area = new Area();
  try {
    return await shell(`cd ${area.path}; ${script}`, { timeout: 120_000 });
  } finally {
    expect(await area.remove()).toEqual([]);
  }
}

const marksOf = "getfattr -R -h -d -m . --absolute-names";
const elsewhere = "kernel overlayfs reads these marks only with the same option, which follows no redirects";

cases("userxattr", [
  {
    name: "removing, making anew, renaming and hard links leave user.overlay. marks only",
    lowers: [{ "gone/y": "y", "d/x": "x", f: "f", g: hard("f"), s: link("t"), s2: hard("s") }],
    options: { cowfs: ["-o", "userxattr"] },
    foreign: elsewhere,
    skip: { overlay: elsewhere },
    steps: `
      unlink gone/y
      rmdir gone
      mkdir gone
      rename d e
      cat e/x -> x
      put e/n n
      append f more
      cat g -> fmore
      stat g nlink -> 2
      put .wh.q ""
      mkdir .wh.d
    `,
  },
]);

const script = `
  mkdir -p l/gone l/d u m; echo y >l/gone/y; echo x >l/d/x; echo f >l/f; ln l/f l/g; ln -s t l/s; ln l/s l/s2; mkfifo l/p
  ${cowfs} mount --lower l --upper u --work w --log log m
  rm -r m/gone; mkdir m/gone; rm m/d/x; rmdir m/d; mkdir m/d; echo n >m/d/n; rm m/p
  echo more >>m/f; cmp m/f m/g; test $(stat -c %h m/g) = 2
  touch -h m/s; readlink m/s2; touch m/.wh.q; ln -s a m/.wh.l
  ! ln -s a m/.wh..wh.l 2>err; grep -q 'not permitted' err
  ! mknod m/dev c 0 0 2>err; grep -q 'not permitted' err
  ls -A m m/gone >before
  ${cowfs} umount m
  grep -q user.overlay. log
`;

test("without privileges everything that needs marks works, in user.overlay. attributes", async () => {
  const answer = await inArea(`
    cat >script <<'END'
    set -eu
    ${script}
    ${marksOf} u w >marks
    ! grep trusted marks; grep -q user.overlay.opaque marks; grep -q user.overlay.origin marks; grep -q cowfs.plain marks
    ${cowfs} mount --lower l --upper u --work w m
    ls -A m m/gone >after; cmp before after; cmp m/f m/g
    mv m/d m/e; cat m/e/n
    ${cowfs} umount m
    touch l/set-id; truncate -s 100 l/set-id; chmod 6755 l/set-id
    ${cowfs} mount -o metacopy=on --lower l --upper u --work w m
    touch m/set-id
    ${cowfs} umount m
    ${marksOf} u/set-id | grep -q user.overlay.metacopy
    stat -c %a u/set-id
END
    unshare -Urm --propagation private bash script`);
  expect(answer).toBe("t\nn\n6755\n");
});

test("an ACL with somebody whom the user namespace does not have is not copied up, which the error says as of owners", async () => {
  const answer = await inArea(`
    mkdir -p l/d u m; echo f >l/f; setfacl -m g:5:rwx l/d; setfacl -m u:5:r l/f
    unshare -Urm --propagation private bash -c '
      ${cowfs} mount --lower l --upper u --work w --log log m
      touch m/d/x; chmod 600 m/f; touch m/new; cat m/f
      ${cowfs} umount m' 2>&1`);
  expect(answer.trim().split("\n")).toEqual([
    expect.stringMatching(/^touch: .*Value too large/),
    expect.stringMatching(/^chmod: .*Value too large/),
    "f",
  ]);
});

test("kernel overlayfs with userxattr reads what cowfs writes, and the other way round", async () => {
  await inArea(`
    ${script.replace("mount --lower", "mount -o userxattr --lower").replace("grep -q user.overlay. log", "")}
    ! ${marksOf} u w | grep trusted
    mount -t overlay -o userxattr,index=on,lowerdir=l,upperdir=u,workdir=w overlay m
    ls -A m m/gone >after; cmp before after; cmp m/f m/g; test $(stat -c %h m/g) = 2
    rm -r m/d; mkdir m/d; rm m/g; echo k >>m/s2 || true
    ls -A m m/d m/gone >before
    umount m
    for options in userxattr ro; do
      ${cowfs} mount -o $options --lower l --upper u --work w m
      ls -A m m/d m/gone >after; cmp before after; test $(stat -c %h m/f) = 1
      ${cowfs} umount m
    done`);
});

test("a user cannot forge a mark of either family", async () => {
  await inArea(`
    mkdir -p l/d u m; echo x >l/d/x
    for options in rw userxattr; do
      ${cowfs} mount -o $options --lower l --upper u --work w m
      setfattr -n user.overlay.opaque -v y m/d; setfattr -n trusted.overlay.redirect -v /d m/d
      ${cowfs} umount m
      ${cowfs} mount -o $options --lower l --upper u --work w m
      test $(cat m/d/x) = x; test $(getfattr -n user.overlay.opaque --only-values m/d) = y
      ${cowfs} umount m
    done`);
});

import { copyFileSync, writeFileSync } from "node:fs";
import { command } from "../harness/command.js";
import { codename } from "../harness/debian.js";
import { expectEqual, program, script } from "../harness/programs.js";

program("a Debian system", [
  {
    name: "apt-get and dpkg in a chroot of a lower that debootstrap made",
    timeout: 420_000,
    // As podman does when it builds an image; that fsync works is tested by the databases.
    options: { cowfs: ["-o", "volatile"] },
    prepare: async ({ area, lowers }) => {
      const root = lowers[0] ?? "";
      // Made in memory, where dpkg's many syncs cost nothing.
      const made = await area.directory("made", "tmpfs:1G");
      await command("debootstrap", ["--variant=minbase", codename(), `${made}/root`], { timeout: 300_000 });
      await command("cp", ["-a", `${made}/root/.`, root]);
      await area.unmountPlace(made);
      copyFileSync("/etc/resolv.conf", `${root}/etc/resolv.conf`);
      writeFileSync(`${root}/usr/sbin/policy-rc.d`, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
      // ext4 settles how many blocks a file takes when it is written back: not after the lower was looked at.
      await command("sync", ["-f", root]);
    },
    run: async (merged) => {
      const chroot = (text: string): Promise<string> =>
        script(
          merged,
          `chroot . /bin/sh -eu -c "$0"`.replace("$0", text.replaceAll('"', '\\"').replaceAll("$", "\\$")),
          ".",
          {
            env: {
              PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
              DEBIAN_FRONTEND: "noninteractive",
              HOME: "/root",
              LC_ALL: "C.UTF-8",
            },
            timeout: 200_000,
          },
        );
      const quiet = (text: string): Promise<string> =>
        chroot(`{ ${text}; } >/tmp/log 2>&1 || { tail -40 /tmp/log; exit 1; }; rm /tmp/log`);
      expectEqual(merged, "dpkg --verify of the lower", await chroot("dpkg --verify || true"), "");
      await quiet("apt-get -q update");
      await quiet("apt-get -q -y --no-install-recommends install file less libmagic1 vim-tiny");
      expectEqual(merged, "an installed program", (await chroot("file -b /bin/sh")).trim(), "symbolic link to dash");
      await quiet("apt-get -q -y --reinstall install dpkg");
      await quiet("cd /tmp && apt-get -q download hello && dpkg -i hello_*.deb && rm hello_*.deb");
      expectEqual(merged, "hello", await chroot("hello"), "Hello, world!\n");
      expectEqual(merged, "dpkg --audit", await chroot("dpkg --audit"), "");
      await quiet(
        "dpkg -r hello && apt-get -q -y purge vim-tiny vim-common less && apt-get -q -y autoremove --purge && apt-get clean",
      );
      expectEqual(
        merged,
        "what is left of hello",
        await chroot("ls /usr/bin/hello 2>&1 || true"),
        "ls: cannot access '/usr/bin/hello': No such file or directory\n",
      );
      await merged.remount();
      expectEqual(merged, "dpkg --verify", await chroot("dpkg --verify || true"), "");
      expectEqual(merged, "dpkg --audit after a remount", await chroot("dpkg --audit"), "");
      expectEqual(
        merged,
        "the program after a remount",
        (await chroot("file -b /bin/sh")).trim(),
        "symbolic link to dash",
      );
      await chroot(
        "useradd -m somebody && su somebody -c 'cd && touch mine && id -un' && perl -e 'print 1' >/dev/null",
      );
      expectEqual(merged, "the user's file", await chroot("stat -c %U /home/somebody/mine"), "somebody\n");
    },
  },
]);

import { command } from "../harness/command.js";
import { device, fifo, file, hard, link, type Tree } from "../harness/layers.js";
import { compareTrees } from "../harness/merged.js";
import { program, script } from "../harness/programs.js";
import { helper } from "../harness/worker.js";

const acl =
  "\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x04\0\xd2\x04\0\0\x04\0\x04\0\xff\xff\xff\xff\x10\0\x04\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff";

/** One of everything an archive can hold. */
const rich: Tree = {
  "a/": { mode: 0o2750, uid: 5, gid: 6, xattrs: { "user.d": "d", "system.posix_acl_default": acl } },
  "a/f": file("content", {
    mode: 0o4755,
    uid: 1,
    gid: 2,
    xattrs: { "user.x": "x", "security.capability": "\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0" },
  }),
  "a/acl": file("acl", { mode: 0o640, xattrs: { "system.posix_acl_access": acl } }),
  "a/h1": "linked",
  "b/h2": hard("a/h1"),
  "b/l": link("../a/f", { uid: 7 }),
  "b/p": fifo({ mode: 0o600 }),
  "b/c": device(1, 3, { mode: 0o666 }),
  "b/sparse": file("", { parts: [[1 << 20, "x"]], size: 4 << 20 }),
  "b/big": file("", { fill: 5 << 20 }),
  "names/\xc3\xa4 b\n'\"": "name",
  "empty/": {},
};

program("archives", [
  {
    name: "rsync -aHAX and tar, out of the union and into it, keep everything",
    lowers: [rich],
    prepare: async ({ lowers, area }) => {
      // Some thousands of real files besides the odd ones.
      await command("cp", ["-a", "/usr/include/linux", `${lowers[0]}/include`]);
      await command("cp", ["-a", `${lowers[0]}/.`, `${await area.directory("original")}/.`]);
    },
    run: async (merged) => {
      const { area } = merged;
      const record = async (path: string): Promise<Record<string, string>> => {
        const { ".": _, ...rest } = JSON.parse((await helper().call("snapshot", [path, "dirtimes"], 60_000)).text);
        return rest;
      };
      const original = await record(area.at("original"));
      const same = async (what: string, path: string): Promise<void> => {
        const difference = compareTrees(original, await record(path));
        if (difference !== "") {
          merged.failures.push(`${what}:\n${difference}`);
        }
      };
      await area.directory("out");
      const tar = "--xattrs --xattrs-include='*' --acls --numeric-owner --sparse";
      await script(merged, `rsync -aHAX --numeric-ids ./ ${area.at("out/rsync")}/`);
      await same("rsync out of the union", area.at("out/rsync"));
      await script(
        merged,
        `mkdir ${area.at("out/tar")} && tar ${tar} -cf - . | tar ${tar} -xpf - -C ${area.at("out/tar")}`,
      );
      await same("tar out of the union", area.at("out/tar"));
      await script(merged, `mkdir in && rsync -aHAX --numeric-ids ${area.at("original")}/ in/rsync/`);
      await same("rsync into the union", `${merged.root}/in/rsync`);
      await script(
        merged,
        `mkdir in/tar && tar ${tar} -cf - -C ${area.at("original")} . | tar ${tar} -xpf - -C in/tar`,
      );
      await same("tar into the union", `${merged.root}/in/tar`);
      // Nothing may look changed to rsync, by time and by content; and nothing moves while it is read.
      const again = await script(merged, `rsync -aHAXni --checksum --numeric-ids ${area.at("original")}/ in/rsync/`);
      if (again.trim() !== "") {
        merged.failures.push(`rsync finds changes: ${again.slice(0, 500)}`);
      }
      // From lower to upper over what is there, deleting the rest.
      await script(merged, "rm -r a names && rsync -aHAX --numeric-ids --delete --exclude=/in in/rsync/ ./");
      await merged.remount();
      await same("rsync into the union, after a remount", `${merged.root}/in/rsync`);
      await same("tar into the union, after a remount", `${merged.root}/in/tar`);
      await script(merged, `tar ${tar} -cf - in | tar ${tar} -df -`);
      await script(merged, "rm -rf in include");
    },
  },
]);

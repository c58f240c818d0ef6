import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { attempt, command } from "./command.js";

/** The release of this machine, whose packages are used. */
export function codename(): string {
  return /^VERSION_CODENAME=(\w+)/m.exec(readFileSync("/etc/os-release", "latin1"))?.[1] ?? "bookworm";
}

/**
 * Downloads a source package with apt, with lists of its own, so that the machine's configuration stays as it is.
 * @returns the directory with the unpacked upstream source, or undefined where there is no such source to be had
 */
export async function aptSource(name: string, into: string): Promise<string | undefined> {
  const lists = join(into, "lists");
  mkdirSync(join(lists, "partial"), { recursive: true });
  const sources = join(into, "sources.list");
  writeFileSync(
    sources,
    `deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian ${codename()} main\n`,
  );
  const options = [
    "-q",
    "-o",
    `Dir::Etc::sourcelist=${sources}`,
    "-o",
    "Dir::Etc::sourceparts=-",
    "-o",
    `Dir::State::lists=${lists}`,
  ];
  options.push("-o", "APT::Sandbox::User=root", "-o", "Acquire::Languages=none");
  const update = await attempt("apt-get", [...options, "update"], { timeout: 90_000 });
  const download = await attempt("apt-get", [...options, "source", "--download-only", name], {
    cwd: into,
    timeout: 60_000,
  });
  const archive = readdirSync(into).find((entry) => entry.includes(".orig.tar"));
  if (update.status !== 0 || download.status !== 0 || archive === undefined) {
    return undefined;
  }
  mkdirSync(join(into, "source"));
  await command("tar", ["-xf", join(into, archive), "-C", join(into, "source"), "--strip-components=1"]);
  return join(into, "source");
}

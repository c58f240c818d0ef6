import { mkdirSync } from "node:fs";
import type { Area } from "./area.js";
import { attempt, command } from "./command.js";

const kinds = {
  ext4: { size: "96M", mkfs: ["-O", "quota,project", "-E", "quotatype=prjquota"], option: "prjquota" },
  xfs: { size: "320M", mkfs: [], option: "pquota" },
} as const;

/** Mounts a file system with project quotas at `disk` in the area. Says why this kernel has none, in one line. */
export async function withProjects(area: Area, type: keyof typeof kinds, size?: string): Promise<string | undefined> {
  const [image, disk] = [area.at("disk.img"), area.at("disk")];
  const { mkfs, option, size: least } = kinds[type];
  mkdirSync(disk);
  await command("truncate", ["-s", size ?? least, image]);
  await command(`mkfs.${type}`, ["-q", ...mkfs, image]);
  const { status, stderr } = await attempt("mount", ["-o", `loop,${option}`, image, disk]);
  if (status !== 0) return `this kernel does not mount ${type} with ${option}: ${stderr.trim().split("\n")[0]}`;
  const enforced = await attempt("findmnt", ["-no", "OPTIONS", disk]);
  if (new RegExp(`\\b(${option}|prjquota)\\b`).test(enforced.stdout)) return undefined;
  await area.unmountPlace(disk);
  return `this kernel keeps no project quota on ${type}`;
}

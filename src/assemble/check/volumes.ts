import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { DataRoot } from "../../store/data-root.js";
import { StoreError } from "../../store/error.js";
import { lockDirectory } from "../../store/lock.js";
import { shortId } from "../../store/names.js";
import { isHalfFilled, mendVolume } from "../../store/populate.js";
import { isLeft, releaseIfLeft, usesOf } from "../../store/volume-drivers/uses.js";
import { volumeData, volumeDirectory } from "../../store/volume-places.js";
import { findVolume, localDriver } from "../../store/volume-records.js";
import { warn } from "../../store/warn.js";
import type { Finding } from "./finding.js";

/** Volumes that a crash left half filled, and damaged ones. */
export async function checkVolumes(root: DataRoot): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const name of readdirSync(root.volumes)) {
    let found: Finding[];
    try {
      found = await checkVolume(root, name);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      found = [{ what: `volume ${name}`, problem: error.message, remedy: keep(root, name) }];
    }
    // All of a volume goes at once: one that is there still was there when it was looked at.
    if (existsSync(volumeDirectory(root, name))) findings.push(...found);
  }
  return findings;
}

async function checkVolume(root: DataRoot, name: string): Promise<Finding[]> {
  const what = `volume ${name}`;
  const volume = findVolume(root, name);
  if (volume === undefined) {
    return [
      { what, problem: `${join(volumeDirectory(root, name), "volume.json")} is missing`, remedy: keep(root, name) },
    ];
  }
  if (volume.driver !== localDriver) return [];
  if (!existsSync(volumeData(root, name))) {
    return [
      { what, problem: `${volumeData(root, name)} is missing`, remedy: `remove the volume (cowfs volume rm ${name})` },
    ];
  }
  if (!isHalfFilled(root, name)) return [];
  // Whoever fills it holds its lock.
  const lock = await lockDirectory(volumeDirectory(root, name), { limit: 0 });
  if (lock === undefined) return [];
  lock.release();
  return [
    {
      what,
      problem: "its first content was not copied to the end",
      remedy: "finish that if all is there, otherwise leave it to the next start of a container",
      repair: async () => {
        await mendVolume(root, name);
      },
    },
  ];
}

function keep(root: DataRoot, name: string): string {
  return `its content is in ${volumeData(root, name)}: save that, and remove ${volumeDirectory(root, name)}`;
}

/** Volumes that a plugin has mounted for somebody who is gone. */
export async function checkVolumeUses(root: DataRoot): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const use of usesOf(root)) {
    if (!(await isLeft(root, use))) continue;
    const user = use.owner === "container" ? `the container ${shortId(use.id)}` : `process ${use.owner.pid}`;
    findings.push({
      what: `volume ${use.volume}`,
      problem: `its plugin ${use.driver} was not told that ${user} no longer has it`,
      remedy: "tell it to unmount the volume",
      repair: async () => {
        const { problem, isOver } = await releaseIfLeft(root, use);
        if (!isOver) throw problem;
        // It has been told, whatever it says to that.
        if (problem !== undefined) warn(problem.message);
      },
    });
  }
  return findings;
}

import { readdirSync, readFileSync } from "node:fs";
import { arch, cpus, hostname, release, totalmem } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { chooseDriver, drivers } from "../../assemble/drivers/choose.js";
import type { DataRoot } from "../../store/data-root.js";
import { StoreError } from "../../store/error.js";
import { imageUsers } from "../../store/image-users.js";
import { print } from "../exit.js";
import { colours } from "../output/colours.js";
import { printObjects } from "../output/list.js";
import { size } from "../output/size.js";
import { rootOf } from "../root-option.js";
import { version } from "../version.js";
import { backing, foundRuntimes, type Offer, offers } from "./host.js";

/** The storage drivers, and which requirement those lack that cannot be used. */
async function driverOffers(root: DataRoot): Promise<Offer[]> {
  const found: Offer[] = [];
  for (const driver of drivers) {
    const missing = await driver.lacking(root);
    found.push({ Name: driver.name, Available: missing === undefined, Detail: missing ?? "" });
  }
  return found;
}

/** The driver of new containers. */
async function chosenDriver(root: DataRoot): Promise<{ Driver: string; DriverReason: string }> {
  try {
    const { driver, reason } = await chooseDriver(root, undefined);
    return { Driver: driver.name, DriverReason: reason };
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    return { Driver: "none", DriverReason: error.message };
  }
}

/** What `cowfs info` knows, as templates and JSON show it. */
async function gather(root: DataRoot) {
  const digests = (directory: string): number =>
    readdirSync(directory).filter((name) => /^[0-9a-f]{64}$/.test(name)).length;
  return {
    Version: version,
    Root: root.path,
    Backing: backing(root.path),
    Images: digests(root.images),
    Layers: digests(root.layers),
    Containers: digests(root.containers),
    ContainersRunning: new Set(imageUsers(root).flatMap(({ id, isRunning }) => (isRunning ? [id] : []))).size,
    Volumes: readdirSync(root.volumes).length,
    ...(await chosenDriver(root)),
    Drivers: await driverOffers(root),
    Runtimes: foundRuntimes(),
    Rootless: process.geteuid?.() !== 0,
    KernelVersion: release(),
    OperatingSystem: operatingSystem(),
    Architecture: arch(),
    CPUs: cpus().length,
    Memory: totalmem(),
    Name: hostname(),
    NodeVersion: process.version,
    Offers: offers(root.path),
  };
}

function operatingSystem(): string {
  try {
    return /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync(join("/etc", "os-release"), "utf8"))?.[1] ?? "Linux";
  } catch {
    return "Linux";
  }
}

/** `cowfs info`. */
export async function infoCommand(command: Command, options: { format?: string; json?: boolean }): Promise<number> {
  const info = await gather(rootOf(command));
  if (options.json === true || options.format === "json") {
    print(`${JSON.stringify(info, null, options.json === true ? 4 : 0)}\n`);
    return 0;
  }
  if (options.format !== undefined) printObjects([info], options);
  else print(page(info));
  return 0;
}

function page(info: Awaited<ReturnType<typeof gather>>): string {
  const { bold } = colours();
  const { Backing: disk } = info;
  const lines: [string, string][] = [
    ["Version", info.Version],
    ["Root", `${info.Root}${info.Rootless ? " (without root)" : ""}`],
    [
      "Backing",
      `${disk.Type} (${disk.Source} on ${disk.Mountpoint}), ${size(disk.Available, 3)} of ${size(disk.Total, 3)} free`,
    ],
    ["Images", `${info.Images} (${info.Layers} ${info.Layers === 1 ? "layer" : "layers"})`],
    ["Containers", `${info.Containers} (${info.ContainersRunning} running)`],
    ["Volumes", String(info.Volumes)],
    ["Storage driver", `${info.Driver} (${info.DriverReason})`],
    [
      "Runtimes",
      info.Runtimes.map(({ Name, Path }) => `${Name} (${Path})`).join(", ") ||
        "none: cowfs run needs crun, runc or unshare",
    ],
    ["System", `${info.OperatingSystem}, Linux ${info.KernelVersion}, ${info.Architecture}`],
    ["Machine", `${info.Name}: ${info.CPUs} CPUs, ${size(info.Memory, 3)} of memory`],
    ["Node.js", info.NodeVersion],
  ];
  const width = Math.max(...lines.map(([name]) => name.length), ...info.Offers.map(({ Name }) => Name.length + 2)) + 3;
  const said = lines.map(([name, text]) => `${bold(`${name}:`.padEnd(width))}${text}\n`);
  const drivers = `${bold("Storage drivers:")}\n${answers(info.Drivers, width)}`;
  return `${said.join("")}${drivers}${bold("This machine offers:")}\n${answers(info.Offers, width)}`;
}

/** A line for each: whether it is there, and what that means. */
function answers(offers: readonly Offer[], width: number): string {
  const { green, yellow } = colours();
  const lines = offers.map(({ Name, Available, Detail }) => {
    const answer = Available ? green("yes") : yellow("no");
    return `  ${`${Name}:`.padEnd(width - 2)}${answer}${Detail === "" ? "" : `: ${Detail}`}\n`;
  });
  return lines.join("");
}

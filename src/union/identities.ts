/** Upper objects with several names: another name of a known one must lead to the same node, and so to the same pages. */
import { ENOENT } from "../errno.js";
import type { Stat } from "../layer/stat.js";

function key(stat: Stat): string {
  return `${stat.devMajor}:${stat.devMinor}:${stat.inoHigh}:${stat.inoLow}`;
}

export class Identities {
  private readonly nodes = new Map<string, number>();
  private readonly keys = new Map<number, string>();

  /** The node of the object that `stat`, as its layer has it, describes; or -ENOENT. */
  find(stat: Stat): number {
    return this.nodes.get(key(stat)) ?? -ENOENT;
  }

  add(stat: Stat, node: number): void {
    const of = key(stat);
    this.nodes.set(of, node);
    this.keys.set(node, of);
  }

  drop(node: number): void {
    const of = this.keys.get(node);
    if (of === undefined) return;
    this.keys.delete(node);
    this.nodes.delete(of);
  }
}

/**
 * Objects with several names: another name of a known one must lead to the same node, and so to the same pages. A lower
 * object that was copied up is known by both its numbers.
 */
import { ENOENT } from "../errno.js";
import type { Stat } from "../layer/stat.js";

function key(stat: Stat): string {
  return `${stat.devMajor}:${stat.devMinor}:${stat.inoHigh}:${stat.inoLow}`;
}

export class Identities {
  private readonly nodes = new Map<string, number>();
  private readonly keys = new Map<number, string[]>();
  /** Nodes that are still open, and whose object may have a name, but none that is known. */
  private readonly nameless = new Set<number>();

  /** The node of the object that `stat`, as its layer has it, describes; or -ENOENT. */
  find(stat: Stat): number {
    return this.nodes.size === 0 ? -ENOENT : (this.nodes.get(key(stat)) ?? -ENOENT);
  }

  /** Whether `stat`, which has one link, describes an object whose node has lost the name that led to it, and can have this one. */
  isNameless(stat: Stat): boolean {
    return this.nameless.size > 0 && this.nameless.has(this.find(stat));
  }

  /** A node has lost its last name, or has one again. */
  setNameless(node: number, yes: boolean): void {
    if (yes && this.isLinked(node)) this.nameless.add(node);
    else this.nameless.delete(node);
  }

  add(stat: Stat, node: number): void {
    const of = key(stat);
    if (this.nodes.get(of) === node) return;
    this.nodes.set(of, node);
    const keys = this.keys.get(node);
    if (keys === undefined) this.keys.set(node, [of]);
    else keys.push(of);
  }

  /** Whether a node has, or had, several names. */
  isLinked(node: number): boolean {
    return this.keys.has(node);
  }

  /** All that leads to `node` leads to `next` from now on. */
  move(node: number, next: number): void {
    const keys = this.keys.get(node);
    if (keys === undefined) return;
    this.keys.delete(node);
    if (this.nameless.delete(node)) this.nameless.add(next);
    this.keys.set(next, keys);
    for (const of of keys) if (this.nodes.get(of) === node) this.nodes.set(of, next);
  }

  drop(node: number): void {
    const keys = this.keys.get(node);
    if (keys === undefined) return;
    this.keys.delete(node);
    this.nameless.delete(node);
    for (const of of keys) if (this.nodes.get(of) === node) this.nodes.delete(of);
  }
}

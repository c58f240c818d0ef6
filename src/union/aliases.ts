/** Further hard links of nodes: names beside the one in the node's row. Few nodes have any, so maps will do. */

/** A name in a directory; the name is bytes in a latin1 string. */
export interface Place {
  readonly parent: number;
  readonly name: string;
}

const keyOf = (parent: number, name: string): string => `${parent}/${name}`;

function placeOf(key: string): Place {
  const slash = key.indexOf("/");
  return { parent: Number(key.slice(0, slash)), name: key.slice(slash + 1) };
}

export class Aliases {
  /** `parent/name` → node, and node → those keys. */
  private readonly nodes = new Map<string, number>();
  private readonly keys = new Map<number, Set<string>>();

  /** The node that has this name as an alias, if any. Costs nothing worth naming while there are no aliases. */
  find(parent: number, name: string): number | undefined {
    return this.nodes.size === 0 ? undefined : this.nodes.get(keyOf(parent, name));
  }

  add(node: number, parent: number, name: string): void {
    const key = keyOf(parent, name);
    this.nodes.set(key, node);
    const keys = this.keys.get(node);
    if (keys) keys.add(key);
    else this.keys.set(node, new Set([key]));
  }

  remove(node: number, parent: number, name: string): void {
    const key = keyOf(parent, name);
    this.nodes.delete(key);
    const keys = this.keys.get(node);
    if (keys === undefined) return;
    keys.delete(key);
    if (keys.size === 0) this.keys.delete(node);
  }

  has(node: number): boolean {
    return this.keys.has(node);
  }

  /** One of the names. */
  any(node: number): Place | undefined {
    for (const key of this.keys.get(node) ?? []) return placeOf(key);
    return undefined;
  }

  of(node: number): Place[] {
    return Array.from(this.keys.get(node) ?? [], placeOf);
  }
}

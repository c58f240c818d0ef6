/** Open directories: each has the listing it was last given, so that an offset means the same until it is rewound. */
import type { Listing } from "./listing.js";

export interface DirectoryHandle {
  readonly node: number;
  /** null until the first READDIR. */
  listing: Listing | null;
}

export class DirectoryHandles {
  private readonly open = new Map<number, DirectoryHandle>();
  private next = 1;

  get count(): number {
    return this.open.size;
  }

  add(node: number): number {
    const id = this.next++;
    this.open.set(id, { node, listing: null });
    return id;
  }

  get(id: number): DirectoryHandle | undefined {
    return this.open.get(id);
  }

  remove(id: number): void {
    this.open.delete(id);
  }
}

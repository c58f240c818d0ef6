/**
 * The bytes of names, outside of V8's heap: a million strings there would make each collection of garbage a pause that users
 * notice. Chunks of a megabyte that never move, handed out in granules of eight bytes; what is given back is used
 * again for names of the same number of granules.
 */
const CHUNK_SHIFT = 17;
/** Granules in a chunk. */
const CHUNK = 1 << CHUNK_SHIFT;
const GRANULE = 8;
const NONE = 0xffffffff;
/** For the longest name, of 255 bytes. */
const CLASSES = 33;

/** How many granules a name of this length takes; the empty name takes none. */
function granules(length: number): number {
  return (length + GRANULE - 1) >>> 3;
}

export class NameStore {
  private readonly chunks: Buffer[] = [];
  /** Granules used of the last chunk. */
  private used = CHUNK;
  /** For each number of granules the first free place, which holds the next one. */
  private readonly free = new Uint32Array(CLASSES).fill(NONE);

  /** Stores a name of at most 255 bytes, in a latin1 string: returns its place. */
  add(name: string): number {
    const { length } = name;
    if (length === 0) return 0;
    const at = this.take(granules(length));
    const chunk = this.chunk(at);
    const start = (at & (CHUNK - 1)) * GRANULE;
    for (let i = 0; i < length; i++) chunk[start + i] = name.charCodeAt(i);
    return at;
  }

  /** Gives back the place of a name of this length. */
  remove(at: number, length: number): void {
    if (length === 0) return;
    const size = granules(length);
    this.chunk(at).writeUInt32LE(this.free[size] as number, (at & (CHUNK - 1)) * GRANULE);
    this.free[size] = at;
  }

  get(at: number, length: number): string {
    if (length === 0) return "";
    const start = (at & (CHUNK - 1)) * GRANULE;
    return this.chunk(at).latin1Slice(start, start + length);
  }

  /** Whether the name at this place, as long as `name`, is `name`. */
  equals(at: number, name: string): boolean {
    const { length } = name;
    if (length === 0) return true;
    const chunk = this.chunk(at);
    const start = (at & (CHUNK - 1)) * GRANULE;
    for (let i = 0; i < length; i++) if (chunk[start + i] !== name.charCodeAt(i)) return false;
    return true;
  }

  private take(size: number): number {
    const at = this.free[size] as number;
    if (at !== NONE) {
      this.free[size] = this.chunk(at).readUInt32LE((at & (CHUNK - 1)) * GRANULE);
      return at;
    }
    if (this.used + size > CHUNK) {
      this.chunks.push(Buffer.allocUnsafeSlow(CHUNK * GRANULE));
      this.used = 0;
    }
    const place = (this.chunks.length - 1) * CHUNK + this.used;
    this.used += size;
    return place;
  }

  private chunk(at: number): Buffer {
    return this.chunks[at >>> CHUNK_SHIFT] as Buffer;
  }
}

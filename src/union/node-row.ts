/**
 * How a row of the node table is laid out: 14 words of 32 bits, and the bits of its flags. Nothing but literals, and no
 * imports, in this file: then the bundler puts the numbers where they are used, as it does not with variables of a module.
 */

/** The nodeid of the merged root (FUSE_ROOT_ID). */
export const ROOT = 1;
export const NO_NODE = 0;

/** Rows come in chunks of 4096, which never move: a new one costs an insertion no more than an allocation of 224 KiB. */
export const CHUNK_SHIFT = 12;
/** Masks the place in a chunk. */
export const IN_CHUNK = 0xfff;
export const ROW_WORDS = 14;

/** What a search looks at comes first, so that it mostly lies in one line of the CPU's cache. */
export const CHAIN = 0;
export const HASH = 1;
export const PARENT = 2;
/** Where the name store has the name. */
export const NAME = 3;
/** Length of the name, DT_* and the index of the layer: 8, 8 and 16 bits. */
export const SHAPE = 4;
export const FLAGS = 5;
/** The lookup count: the kernel's has 64 bits, and this one 53. */
export const LOOKUPS_LOW = 6;
export const LOOKUPS_HIGH = 7;
export const INO_LOW = 8;
export const INO_HIGH = 9;
/** Rows whose parent is this one, aliases included: a parent outlives its children's names. */
export const CHILDREN = 10;
export const DESCRIPTOR = 11;
/** 0, or where the row's directory is in the table's array of directories. */
export const SLOT = 12;
export const GENERATION = 13;

export const LENGTH_MASK = 0xff;
export const TYPE_SHIFT = 8;
export const TYPE_MASK = 0xff;
export const LAYER_SHIFT = 16;

/** The node has no name any more: unlinked, replaced, or made by O_TMPFILE. */
export const NAMELESS = 1;
/** How the node's descriptor is open: two bits of the flags. */
export const ACCESS_SHIFT = 1;
export const ACCESS_MASK = 0b110;
/** O_PATH: only names the object. */
export const ACCESS_PATH = 0;
export const ACCESS_READ = 1;
export const ACCESS_WRITE = 2;
/** The row is in use. */
export const ALIVE = 8;
/** The node's descriptor is the last way to it, and not in the LRU. */
export const PINNED = 16;
/** Where the data of a regular file is: two bits of the flags. */
export const DATA_SHIFT = 5;
export const DATA_MASK = 0b1100000;
export const DATA_UNKNOWN = 0;
/** In the file itself. */
export const DATA_OWN = 1;
/** The file is a metacopy. */
export const DATA_BELOW = 2;
/** What chattr(1) forbids, of the backing inode or by `overlay.protattr`: as the bits of FS_IOC_GETFLAGS, moved to where there is room. */
export const PROTECTION_SHIFT = 3;
export const IMMUTABLE = 0x10;
export const APPEND_ONLY = 0x20;
export const PROTECTED = 0x30;
export const PROTECTION_MASK = 0x180;
/** Protected since the node is known: the kernel may hold pages that were changed before. */
export const LATE = 0x200;
/** The object is known to have no `security.capability`. */
export const INCAPABLE = 0x400;

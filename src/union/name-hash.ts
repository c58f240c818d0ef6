/** One hash of names for all that looks them up: a request asks for that of one name several times, and it is counted once. */

let last = "";
let lastHash = fnv("", 0);

/** FNV-1a over the bytes of a name: 32 bits, signed, which V8 need not make objects of where code is not optimized yet. */
function fnv(name: string, from: number): number {
  let h = 0x811c9dc5 | 0;
  for (let i = from; i < name.length; i++) h = Math.imul(h ^ name.charCodeAt(i), 0x01000193);
  return h ^ (h >>> 15);
}

export function nameHash(name: string): number {
  if (name === last) return lastHash;
  lastHash = fnv(name, 0);
  last = name;
  return lastHash;
}

/** That of what is left of a name behind its first `from` bytes. */
export function hashBehind(name: string, from: number): number {
  return fnv(name, from);
}

/** 52 bits of a name, plus 16: what tells its place in a listing. Counts its hash as well. */
export function nameOffset(name: string): number {
  let a = 0x811c9dc5 | 0;
  let b = 0x9747b28c | 0;
  for (let i = 0; i < name.length; i++) {
    const c = name.charCodeAt(i);
    a = Math.imul(a ^ c, 0x01000193);
    b = Math.imul(b ^ (c + i), 0x5bd1e995);
    b ^= b >>> 13;
  }
  a ^= a >>> 15;
  last = name;
  lastHash = a;
  return (b & 0xfffff) * 4294967296 + (a >>> 0) + 16;
}

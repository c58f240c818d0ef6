import { BLOCK, encodeHeader, endOfArchive, FILE, ofRoot, padding } from "./tar-header.js";

/** A file of an archive of an image: its content, or where its content comes from. */
export interface ArchiveMember {
  readonly path: string;
  /** The length of the content. Whoever gives other content is wrong. */
  readonly size: number;
  readonly content: Buffer | (() => AsyncIterable<Buffer>);
}

/** The bytes of a member. */
export async function* contentOf({ content }: ArchiveMember): AsyncGenerator<Buffer> {
  if (Buffer.isBuffer(content)) yield content;
  else yield* content();
}

/** A tar archive of members, in pieces: regular files of root that anybody may read, as of 1970, so that the same image gives the same bytes. */
export async function* archiveOf(members: AsyncIterable<ArchiveMember>): AsyncGenerator<Buffer> {
  for await (const member of members) {
    yield encodeHeader({ ...ofRoot, path: member.path, type: FILE, mode: 0o644, size: member.size });
    let sent = 0;
    for await (const piece of contentOf(member)) {
      sent += piece.length;
      yield piece;
    }
    if (sent !== member.size) throw new Error(`${member.path} has ${sent} bytes, and ${member.size} were announced`);
    if (sent % BLOCK !== 0) yield padding(sent);
  }
  yield endOfArchive;
}

/** Methods every Node has and @types/node does not know: they skip the look-up of the encoding by name. */
interface Buffer {
  latin1Slice(start?: number, end?: number): string;
  latin1Write(text: string, offset?: number, length?: number): number;
}

/** Replaced by the bundler with the version in package.json. */
declare const COWFS_VERSION: string | undefined;

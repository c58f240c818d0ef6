/** Says on stderr what went wrong beside the work, which went on: one line. */
export function warn(message: string): void {
  process.stderr.write(`cowfs: warning: ${message}\n`);
}

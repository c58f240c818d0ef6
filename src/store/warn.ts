const said = new Set<string>();

/** Says on stderr what went wrong beside the work, which went on: one line, and once. */
export function warn(message: string): void {
  if (said.has(message)) return;
  said.add(message);
  process.stderr.write(`cowfs: warning: ${message}\n`);
}

/** The first words of commands on images, containers and volumes. Kept apart from the commands, so that a mount need not load those. */
const words = new Set([
  ...["image", "volume", "system", "info", "completion"],
  ...[
    "create",
    "run",
    "start",
    "attach",
    "exec",
    "stop",
    "restart",
    "kill",
    "wait",
    "rm",
    "ps",
    "inspect",
    "logs",
    "rename",
  ],
  ...["diff", "commit", "export", "cp"],
]);

export function isStoreCommand(word: string): boolean {
  return words.has(word);
}

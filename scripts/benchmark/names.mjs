/** Names in the big trees, which their makers and the clients agree on. */
export const filesPerDirectory = 100;

export function bigTreeDirectory(d) {
  return `group-${Math.floor(d / 100)}/dir-${d % 100}`;
}

export function bigTreeName(i) {
  return `a-file-with-number-${i}.txt`;
}

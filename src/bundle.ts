/**
 * Which of the two bundles a command line needs. What mounts is loaded without images, containers and volumes, which would make every mount wait
 * for twice as much code. Words are taken for more than they may be: that only costs the time.
 */
export function needsWhole(argv: readonly string[]): boolean {
  const [first = "", ...words] = argv.slice(2);
  if (!/^(--driver|--launched|mount|umount|unmount|mounts)$/.test(first)) return true;
  return words.some((word) => /^(-[a-zA-Z]*[vhV]|--(volume|mount|tmpfs|image|help|version)|help$)/.test(word));
}

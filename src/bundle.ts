/** What is loaded: everything, what mounts alone need, or what a thread needs that builds layers. */
export type Bundle = "program" | "mount" | "layer-thread";

/**
 * Which of the bundles a command line needs. What mounts is loaded without images, containers and volumes, which would make every mount wait
 * for twice as much code. Words are taken for more than they may be: that only costs the time.
 */
export function bundleFor(argv: readonly string[]): Bundle {
  const [first = "", ...words] = argv.slice(2);
  if (first === "--layer-thread") return "layer-thread";
  if (!/^(--driver|--launched|mount|umount|unmount|mounts)$/.test(first)) return "program";
  const needsMore = /^(-[a-zA-Z]*[vhV]|--(volume|mount|tmpfs|image|help|version)|help$)/;
  return words.some((word) => needsMore.test(word)) ? "program" : "mount";
}

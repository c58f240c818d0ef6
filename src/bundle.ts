/** What is loaded: everything, what a mount by itself needs, what ends and lists mounts, or what a thread needs that builds layers. */
export type Bundle = "program" | "mount" | "mounts" | "layer-thread";

/**
 * Which of the bundles a command line needs. What mounts is loaded without images, containers and volumes, which would make every mount wait
 * for twice as much code. Words are taken for more than they may be: that only costs the time. Where they are taken for less, the bundle of
 * mounts says so itself.
 */
export function bundleFor(argv: readonly string[]): Bundle {
  const [first = "", ...words] = argv.slice(2);
  if (first === "--layer-thread") return "layer-thread";
  if (!/^(--driver|--launched|mount|umount|unmount|mounts)$/.test(first)) return "program";
  const needsMore = /^(-[a-zA-Z]*[vhV]|--(volume|mount|tmpfs|image|help|version)|help$)/;
  if (words.some((word) => needsMore.test(word))) return "program";
  return /^u|s$/.test(first) ? "mounts" : "mount";
}

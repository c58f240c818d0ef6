/** Making, copying, renaming, removing. */
export function changes(sizes) {
  const untar = (p) => p.shell(`mkdir -p fresh && tar -xf '${p.archive}' -C fresh`);
  const removeFresh = (p) => p.shell("rm -rf fresh");
  return [
    {
      name: "untar",
      title: `untar of ${sizes.archive.toLocaleString("en")} files`,
      table: true,
      files: () => sizes.archive,
      measure: untar,
      clean: removeFresh,
    },
    {
      name: "rm-upper",
      title: "rm -rf of them: upper files",
      table: true,
      files: () => sizes.archive,
      prepare: untar,
      measure: removeFresh,
    },
    {
      name: "cp",
      title: "cp -a of lower files within the mount",
      table: true,
      files: (p) => p.countBelow("npm/"),
      measure: (p) => p.shell("cp -a npm copied"),
      clean: (p) => p.shell("rm -rf copied"),
    },
    {
      name: "chmod",
      title: `chmod -R over ${sizes.modes.toLocaleString("en")} lower files`,
      table: true,
      files: () => sizes.modes,
      measure: (p) => p.shell("chmod -R g+w modes"),
      clean: (p) => p.shell("chmod -R g-w modes"),
    },
    {
      name: "mv",
      title: `mv of a lower directory, ${sizes.renamed.toLocaleString("en")} files`,
      table: true,
      files: () => sizes.renamed,
      measure: (p) => p.shell("mv moved renamed"),
      clean: (p) => p.shell("mv renamed moved"),
    },
    {
      name: "rm-lower",
      title: `rm -rf of ${sizes.gone} lower files`,
      table: true,
      files: () => sizes.gone,
      measure: (p) => p.shell("rm -rf gone"),
      clean: (p) => p.restore("gone"),
    },
  ];
}

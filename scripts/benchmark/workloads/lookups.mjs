/** Names, attributes, listings. */
export function lookups(sizes) {
  const flat = sizes.flat.toLocaleString("en");
  const list = "ls -l small > /dev/null";
  const walk = "find . -size 0 > /dev/null";
  const listed = sizes.flat + sizes.renamed + sizes.gone;
  return [
    {
      name: "lookup-cold",
      title: "find that wants every file's size, cold",
      table: true,
      files: (p) => p.fileCount,
      prepare: (p) => p.cool(),
      measure: (p) => p.shell(walk),
    },
    {
      name: "lookup-warm",
      title: "find that wants every file's size, warm",
      table: true,
      files: (p) => p.fileCount,
      prepare: (p) => p.shell(walk),
      measure: (p) => p.shell(walk),
    },
    {
      name: "ls-cold",
      title: `ls -lR of ${listed.toLocaleString("en")} files, cold`,
      table: true,
      files: () => listed,
      prepare: (p) => p.cool(),
      measure: (p) => p.shell("ls -lR small moved gone > /dev/null"),
    },
    {
      name: "ls-thrice",
      title: `ls -l of ${flat} files, three times`,
      table: true,
      files: () => sizes.flat * 3,
      measure: (p) => p.shell(`${list}; ${list}; ${list}`),
    },
    {
      name: "ls-again",
      title: `ls -l of ${flat} files, the second time`,
      files: () => sizes.flat,
      prepare: (p) => p.shell(list),
      measure: (p) => p.shell(list),
    },
    {
      name: "lookup-first",
      title: `lstat of ${sizes.lookups.toLocaleString("en")} files, first time in this mount`,
      files: () => sizes.lookups,
      measure: (p) => p.client("stat", p.root, p.lists.all, sizes.lookups),
    },
    {
      name: "lookup-again",
      title: "lstat of them, the second time",
      files: () => sizes.lookups,
      prepare: (p) => p.client("stat", p.root, p.lists.all, sizes.lookups),
      measure: (p) => p.client("stat", p.root, p.lists.all, sizes.lookups),
    },
    {
      name: "missing",
      title: `lstat of ${sizes.lookups.toLocaleString("en")} names that do not exist`,
      files: () => sizes.lookups,
      measure: (p) => p.client("missing", p.root, p.lists.all, sizes.lookups),
    },
    {
      name: "mount",
      title: "mount until it answers",
      table: true,
      skip: ["native"],
      measure: (p) => p.remount(),
    },
  ];
}

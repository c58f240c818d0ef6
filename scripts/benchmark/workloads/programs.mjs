/** Programs that mostly read: small files, a search, an interpreter, a compiler; and a database. */
export function programs(sizes) {
  const grep = "grep -r no-such-text python || true";
  const insert = `seq ${sizes.commits} | sed 's/.*/insert into t values(&);/'`;
  const sqlite = (mode) => (p) =>
    p.shell(`{ echo 'pragma journal_mode=${mode}; create table t(a);'; ${insert}; } | sqlite3 database`);
  const sqliteClean = (p) => p.shell("rm -f database*");
  return [
    {
      name: "read-cold",
      title: `read of ${sizes.readCold.toLocaleString("en")} small files, cold`,
      table: true,
      files: () => sizes.readCold,
      prepare: (p) => p.cool(),
      measure: (p) => p.client("read", p.root, p.lists.small, sizes.readCold),
    },
    {
      name: "read-warm",
      title: `read of ${sizes.readWarm.toLocaleString("en")} small files, warm`,
      table: true,
      files: () => sizes.readWarm,
      prepare: (p) => p.client("read", p.root, p.lists.small, sizes.readWarm),
      measure: (p) => p.client("read", p.root, p.lists.small, sizes.readWarm),
    },
    {
      name: "read-first",
      title: `read of ${sizes.readWarm.toLocaleString("en")} small files, first time in this mount`,
      files: () => sizes.readWarm,
      measure: (p) => p.client("read", p.root, p.lists.small, sizes.readWarm),
    },
    {
      name: "grep",
      title: "grep -r, warm",
      table: true,
      files: (p) => p.countBelow("python/"),
      prepare: (p) => p.shell(grep),
      measure: (p) => p.shell(grep),
    },
    {
      name: "npm",
      title: "start of npm",
      table: true,
      measure: (p) => p.shell(`'${process.execPath}' npm/bin/npm-cli.js --version`),
    },
    {
      name: "compile",
      title: `compile of ${sizes.units} C files`,
      table: true,
      needs: "/usr/bin/cc",
      files: () => sizes.units,
      prepare: (p) => p.shell("mkdir objects"),
      measure: (p) => {
        const include = '-isystem "$PWD/include" -isystem "$PWD/include/x86_64-linux-gnu"';
        return p.shell(`ls src/*.c | xargs -P 2 -I% sh -c 'cc -O1 ${include} -c % -o objects/$(basename %).o'`);
      },
      clean: (p) => p.shell("rm -rf objects"),
    },
    {
      name: "sqlite",
      title: `sqlite, ${sizes.commits} commits in WAL mode`,
      table: true,
      needs: "/usr/bin/sqlite3",
      files: () => sizes.commits,
      measure: sqlite("wal"),
      clean: sqliteClean,
    },
    {
      name: "sqlite-rollback",
      title: `sqlite, ${sizes.commits} commits with a rollback journal`,
      needs: "/usr/bin/sqlite3",
      files: () => sizes.commits,
      measure: sqlite("delete"),
      clean: sqliteClean,
    },
  ];
}

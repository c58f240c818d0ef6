import { command, shell } from "../harness/command.js";
import { expectEqual, program, script } from "../harness/programs.js";

const create = `
  create table items (id integer primary key, name text not null, value blob, number integer);
  with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000)
    insert into items select i, 'item ' || i, zeroblob(i % 300), i * 7919 % 10007 from n;
  create index by_number on items (number, name);
`;

/** The same statements on the disk and in the union must leave the same content. */
const change = `
  pragma busy_timeout = 20000;
  update items set name = name || ' changed' where number % 3 = 0;
  delete from items where number % 7 = 0;
  insert into items (name, value, number) select 'new ' || id, zeroblob(id % 50), number from items where id % 5 = 0;
  vacuum;
  analyze;
`;

program("sqlite", [
  {
    name: "a lower database in WAL mode: writers and readers at once, checkpoints, vacuum, integrity",
    prepare: async ({ area, lowers }) => {
      await command("sqlite3", [`${lowers[0]}/wal.db`], { input: `pragma journal_mode = wal; ${create}` });
      await command("sqlite3", [`${lowers[0]}/rollback.db`], { input: create });
      await shell(`cp -a ${lowers[0]}/rollback.db ${area.at("native.db")}`);
    },
    run: async (merged) => {
      const check = async (name: string): Promise<void> =>
        expectEqual(
          merged,
          `integrity of ${name}`,
          await script(merged, `sqlite3 ${name} 'pragma integrity_check'`),
          "ok\n",
        );
      const writer = (from: number): string => `
        for i in $(seq ${from} ${from + 39}); do
          sqlite3 -cmd '.timeout 30000' wal.db "begin immediate; insert into items (name, number) values ('w$i', $i); update items set number = number + 1 where id % 97 = $i % 97; commit"
        done`;
      const reader =
        "for i in $(seq 30); do sqlite3 -cmd '.timeout 30000' wal.db 'select count(*), sum(length(value)) from items' >/dev/null; done";
      await Promise.all([script(merged, writer(1)), script(merged, writer(1_001)), script(merged, reader)]);
      expectEqual(
        merged,
        "rows written",
        await script(merged, "sqlite3 wal.db \"select count(*) from items where name like 'w%'\""),
        "80\n",
      );
      await check("wal.db");
      await script(merged, "sqlite3 wal.db 'pragma wal_checkpoint(truncate)'");
      await script(merged, "sqlite3 wal.db", ".", { input: change });
      await check("wal.db");

      await Promise.all([
        script(merged, "sqlite3 rollback.db", ".", { input: change }),
        command("sqlite3", [merged.area.at("native.db")], { input: change }),
      ]);
      await check("rollback.db");
      const dump = await command("sqlite3", [merged.area.at("native.db"), ".dump"]);
      expectEqual(merged, "the content against the disk", await script(merged, "sqlite3 rollback.db .dump"), dump);
      await merged.remount();
      await check("wal.db");
      await check("rollback.db");
      expectEqual(merged, "the content after a remount", await script(merged, "sqlite3 rollback.db .dump"), dump);
      await script(
        merged,
        "sqlite3 wal.db 'insert into items (name) values (1)' && rm rollback.db && sqlite3 rollback.db 'create table t (x)'",
      );
    },
  },
  {
    name: "a memory-mapped database, and a transaction whose process is killed",
    prepare: async ({ lowers }) => {
      await command("sqlite3", [`${lowers[0]}/a.db`], { input: create });
    },
    run: async (merged) => {
      await script(merged, "sqlite3 a.db", ".", { input: `pragma mmap_size = 268435456; ${change}` });
      await script(
        merged,
        `(echo "begin immediate; update items set name = 'lost';"; sleep 0.5; echo "select 1;"; sleep 3) | timeout -s KILL 1 sqlite3 a.db || true`,
      );
      expectEqual(
        merged,
        "rows of the lost transaction",
        await script(merged, "sqlite3 a.db \"select count(*) from items where name = 'lost'\""),
        "0\n",
      );
      expectEqual(merged, "integrity", await script(merged, "sqlite3 a.db 'pragma integrity_check'"), "ok\n");
    },
  },
]);

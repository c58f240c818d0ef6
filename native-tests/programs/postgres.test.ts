import { readdirSync } from "node:fs";
import { command, shell } from "../harness/command.js";
import { expectEqual, program, script } from "../harness/programs.js";

/** Debian keeps the server's programs out of PATH. */
function binaries(): string {
  const versions = readdirSync("/usr/lib/postgresql").sort((a, b) => Number(a) - Number(b));
  return `/usr/lib/postgresql/${versions.at(-1)}/bin`;
}

program("PostgreSQL", [
  {
    name: "a cluster made in a lower layer: pgbench, checks, a crash and its recovery, a remount",
    prepare: async ({ lowers, area }) => {
      await command("chown", ["postgres", lowers[0] ?? ""]);
      await area.directory("run");
      await command("chown", ["postgres", area.at("run")]);
      await shell(
        `su postgres -s /bin/sh -c "${binaries()}/initdb -D ${lowers[0]}/data --data-checksums --auth=trust -E UTF8 --locale=C" >/dev/null`,
      );
    },
    run: async (merged) => {
      const bin = binaries();
      const run = merged.area.at("run");
      const asPostgres = (text: string): Promise<string> =>
        script(merged, `su postgres -s /bin/bash -c '${text.replaceAll("'", `'\\''`)}'`, ".", { timeout: 120_000 });
      const control = (what: string): Promise<string> =>
        asPostgres(
          `${bin}/pg_ctl -s -w -t 60 -D ${merged.root}/data -l ${run}/log -o "-c listen_addresses= -c unix_socket_directories=${run}" ${what} </dev/null >/dev/null 2>&1 || { tail -20 ${run}/log; exit 1; }`,
        );
      const sql = async (query: string): Promise<string> =>
        (await asPostgres(`psql -h ${run} -qAtc "${query}" postgres`)).trim();
      const balanced = async (when: string): Promise<void> => {
        const sums = await sql(
          "select (select sum(abalance) from pgbench_accounts) = (select sum(bbalance) from pgbench_branches), (select sum(tbalance) from pgbench_tellers) = (select sum(delta) from pgbench_history)",
        );
        expectEqual(merged, `the books ${when}`, sums, "t|t");
      };
      await control("start");
      merged.atEnd(() => control("-m immediate stop"));
      await asPostgres(`pgbench -h ${run} -i -q -s 2 postgres 2>/dev/null`);
      await asPostgres(
        `pgbench -h ${run} -c 4 -j 2 -t 400 -n postgres 2>&1 | grep "number of failed transactions: 0" >/dev/null`,
      );
      await balanced("after pgbench");
      // The server is killed in the middle of its work; what it said is committed must be there when it comes back.
      const pid = (await script(merged, "head -1 data/postmaster.pid")).trim();
      const bench = asPostgres(`pgbench -h ${run} -c 4 -j 2 -T 30 -n postgres >/dev/null 2>&1 || true`);
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      // The father first, so that it does not start anew; its children are found by their open cluster.
      await shell(
        `children=$(pgrep -P ${pid}); kill -KILL ${pid} $children; for p in ${pid} $children; do while kill -0 $p 2>/dev/null; do sleep 0.05; done; done`,
      );
      await bench;
      await script(merged, `rm -f data/postmaster.pid ${run}/.s.PGSQL*`);
      await control("start");
      await balanced("after a crash of the server");
      await sql("vacuum full");
      await sql("reindex database postgres");
      await control("-m fast stop");
      await merged.remount();
      await asPostgres(`${bin}/pg_checksums --check -D ${merged.root}/data >/dev/null`);
      await control("start");
      await balanced("after a remount");
      expectEqual(merged, "rows", await sql("select count(*) from pgbench_accounts"), "200000");
      await control("-m fast stop");
    },
  },
]);

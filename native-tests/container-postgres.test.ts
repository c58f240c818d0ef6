/** A real database in a container: with its data in a volume it outlives the container, in the container's layer it goes with it. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { command, shell } from "./harness/command.js";
import { cowfsProgram } from "./harness/mounts.js";
import { busyboxTree, Store } from "./harness/store.js";

let store: Store;
const version = readdirSync("/usr/lib/postgresql")
  .sort((a, b) => Number(a) - Number(b))
  .at(-1);

/** This machine's server and client, with the libraries they need, over busybox. */
async function postgresTree(path: string): Promise<string> {
  await busyboxTree(path);
  const home = `/usr/lib/postgresql/${version}`;
  const script = `
    bin=${home}/bin; lib=${home}/lib
    files="$bin/postgres $bin/initdb $bin/pg_ctl $bin/psql $lib/plpgsql.so $lib/dict_snowball.so"
    libraries=$(ldd $files | awk '/=> \\// { print $3 } /^\\t\\/lib/ { print $1 }' | sort -u)
    for file in $files $libraries; do
      mkdir -p "${path}$(dirname "$file")"
      cp -L "$file" "${path}$file"
    done
    mkdir -p ${path}/usr/share/postgresql
    cp -a /usr/share/postgresql/${version} ${path}/usr/share/postgresql/
    [ ! -d ${path}/usr/share/postgresql/${version}/man ] || rm -r ${path}/usr/share/postgresql/${version}/man
    cp -a /usr/share/zoneinfo ${path}/usr/share/
    echo "postgres:x:999:999::/var/lib/postgres:/bin/sh" >>${path}/etc/passwd
    echo "postgres:x:999:" >>${path}/etc/group
    mkdir -p ${path}/var/lib/postgres ${path}/run
    chown 999:999 ${path}/var/lib/postgres ${path}/run
    chmod 1777 ${path}/tmp`;
  await shell(script, { timeout: 120_000 });
  return path;
}

beforeAll(async () => {
  store = new Store();
  await store.image("postgres", [await postgresTree(store.area.at("tree"))], {
    User: "postgres",
    WorkingDir: "/var/lib/postgres",
    Env: [`PATH=/usr/lib/postgresql/${version}/bin:/bin`, "PGDATA=/var/lib/postgres/data", "PGHOST=/run", "TZ=UTC"],
  });
  expect(existsInImage("usr/lib/postgresql")).toBe(true);
});

afterAll(async () => {
  expect(await store.remove()).toEqual([]);
});

function existsInImage(path: string): boolean {
  const [layer = ""] = readdirSync(store.root.layers);
  return readdirSync(join(store.root.layers, layer, "tree", path)).length > 0;
}

const server = `[ -d $PGDATA ] || initdb --auth=trust -E UTF8 --locale=C --no-sync >/tmp/init 2>&1 || { cat /tmp/init; exit 1; }
  pg_ctl -s -w -t 90 -l /tmp/log -o "-c listen_addresses= -c unix_socket_directories=/run" start || { cat /tmp/log; exit 1; }`;
const stop = "pg_ctl -s -w -m fast stop";
const fill = "psql -qAtc 'create table t (n int primary key); insert into t select generate_series(1, 20000)' postgres";
const count = "psql -qAtc 'select count(*), sum(n) from t' postgres";

async function run(words: readonly string[], script: string): Promise<string> {
  const line = ["run", ...words, "postgres", "sh", "-ec", script];
  const { status, stdout, stderr } = await store.run(line, 180_000);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  return stdout;
}

test("in a named volume the data survives the container, also one that was killed", async () => {
  const volume = ["-v", "pgdata:/var/lib/postgres"];
  await run(["--rm", ...volume], `${server}; ${fill}; ${stop}`);
  expect(await store.ok("ps", "-aq")).toBe("");
  expect(await run(["--rm", ...volume], `${server}; ${count}; ${stop}`)).toBe("20000|200010000\n");
  // What was committed is there after the whole container is killed in the middle of its work.
  await run(["-d", "--name", "crash", ...volume], `rm -f $PGDATA/postmaster.pid; ${server}; echo up; exec sleep 1000`);
  await command(
    "sh",
    [
      "-c",
      `for i in $(seq 600); do "$0" --root "$1" logs crash | grep -q up && exit 0; sleep 0.1; done; exit 1`,
      cowfsProgram,
      store.path,
    ],
    {
      cwd: process.cwd(),
      timeout: 120_000,
    },
  );
  await store.ok("exec", "crash", "psql", "-qc", "insert into t values (0), (-1)", "postgres");
  await store.ok("rm", "-f", "crash");
  const again = `rm -f $PGDATA/postmaster.pid; ${server}; ${count}; ${stop}`;
  expect(await run(["--rm", ...volume], again)).toBe("20002|200009999\n");
}, 600_000);

test("in the container's layer it survives a restart, and goes with the container", async () => {
  const script = `[ -d $PGDATA ] && seen=yes || seen=no; ${server}; [ $seen = yes ] || ${fill}; ${count}; ${stop}`;
  expect(await run(["--name", "layer"], script)).toBe("20000|200010000\n");
  expect(await store.ok("start", "-a", "layer")).toBe("20000|200010000\n");
  expect((await store.ok("diff", "layer")).split("\n")).toContain("A /var/lib/postgres/data");
  await store.ok("rm", "layer");
  expect(await run(["--rm"], "ls /var/lib/postgres")).toBe("");
}, 600_000);

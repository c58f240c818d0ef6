import { mkdirSync, writeFileSync } from "node:fs";
import { command, shell } from "../harness/command.js";
import { aptSource } from "../harness/debian.js";
import { expectEqual, program, script } from "../harness/programs.js";

/** A C project for where Debian's sources cannot be had: many files, a library, a generated header. */
function makeProject(into: string): void {
  mkdirSync(`${into}/src`, { recursive: true });
  const names = Array.from({ length: 40 }, (_, index) => `part${index}`);
  for (const [index, name] of names.entries()) {
    writeFileSync(`${into}/src/${name}.c`, `#include "all.h"\nint ${name}(int x) { return x * ${index} + VERSION; }\n`);
  }
  const calls = names.map((name) => `${name}(1)`).join(" + ");
  writeFileSync(
    `${into}/src/lua.c`,
    `#include <stdio.h>\n#include "all.h"\nint main(void) { printf("%d\\n", ${calls}); return 0; }\n`,
  );
  writeFileSync(
    `${into}/Makefile`,
    `OBJECTS = ${names.map((name) => `src/${name}.o`).join(" ")}
all linux: src/lua
src/all.h:
\t( echo '#define VERSION 3'; for n in ${names.join(" ")}; do echo "int $$n(int);"; done ) > $@.tmp && mv $@.tmp $@
src/%.o: src/%.c src/all.h
\tcc -O2 -c -o $@ $<
src/libparts.a: $(OBJECTS)
\tar rcsD $@ $^
src/lua: src/lua.o src/libparts.a
\tcc -o $@ $^
clean:
\trm -f src/*.o src/*.a src/lua src/all.h
`,
  );
}

program("building a C project", [
  {
    name: "lua: build, nothing to do the second time, clean, build again from a renamed directory",
    prepare: async ({ area, lowers }) => {
      const sources = await area.directory("sources");
      const found = await aptSource("lua5.4", sources);
      if (found === undefined) {
        makeProject(`${lowers[0]}/lua`);
      } else {
        await command("cp", ["-a", found, `${lowers[0]}/lua`]);
      }
      await command("cp", ["-a", `${lowers[0]}/lua`, area.at("native-lua")]);
    },
    run: async (merged) => {
      // On the disk and in the union at once: two compilers for two processors, and something to compare with.
      const make = "make -s -j2 linux MYCFLAGS=-O1 >make.log 2>&1 || { tail -20 make.log; exit 1; }";
      await Promise.all([
        script(merged, make, "lua"),
        shell(make, { cwd: merged.area.at("native-lua"), timeout: 240_000 }),
      ]);
      const sum = "find . -name '*.[oa]' -o -name lua -type f | sort | xargs sha256sum";
      const wanted = await shell(sum, { cwd: merged.area.at("native-lua") });
      expectEqual(merged, "what was built", await script(merged, sum, "lua"), wanted);
      // Prefixed names of times tell make what is new: nothing may seem to be.
      expectEqual(
        merged,
        "the second make",
        await script(merged, "make linux MYCFLAGS=-O1 | grep -cE '(gcc|cc) ' || true", "lua"),
        "0\n",
      );
      await merged.remount();
      expectEqual(merged, "after a remount", await script(merged, sum, "lua"), wanted);
      expectEqual(
        merged,
        "make after a remount",
        await script(merged, "make linux MYCFLAGS=-O1 | grep -cE '(gcc|cc) ' || true", "lua"),
        "0\n",
      );
      await script(merged, "mv lua elsewhere && cd elsewhere && make -s clean");
      expectEqual(merged, "after make clean", await script(merged, "find . -name '*.[oa]'", "elsewhere"), "");
      await script(merged, make, "elsewhere");
      expectEqual(merged, "built again", await script(merged, sum, "elsewhere"), wanted);
      await script(merged, "./src/lua -v || ./src/lua", "elsewhere");
    },
  },
]);

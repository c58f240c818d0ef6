import { writeFileSync } from "node:fs";
import { command, shell } from "../harness/command.js";
import { expectEqual, program, script } from "../harness/programs.js";

const manifest = {
  name: "app",
  version: "1.0.0",
  private: true,
  dependencies: { express: "4.21.2", commander: "12.1.0" },
  devDependencies: { esbuild: "0.25.0" },
};

/** Serves one page to itself. */
const app = `
  const express = require("express");
  const server = express().get("/", (_, answer) => answer.send("served")).listen(0, async () => {
    console.log(await (await fetch("http://127.0.0.1:" + server.address().port)).text());
    server.close();
  });
`;

program("npm", [
  {
    name: "npm ci over a lower application, a run of the result, changes and a second npm ci",
    prepare: async ({ area, lowers }) => {
      const home = await area.directory("home");
      const env = {
        ...process.env,
        HOME: home,
        npm_config_cache: `${home}/cache`,
        npm_config_update_notifier: "false",
      };
      await command("mkdir", [`${lowers[0]}/app`]);
      writeFileSync(`${lowers[0]}/app/package.json`, JSON.stringify(manifest));
      writeFileSync(`${lowers[0]}/app/index.js`, app);
      await shell("npm install --no-audit --no-fund --loglevel=error >/dev/null 2>&1", {
        cwd: `${lowers[0]}/app`,
        env,
        timeout: 120_000,
      });
      // The lower holds an installation; npm ci deletes it first, and so makes an opaque directory.
      await command("cp", ["-a", `${lowers[0]}/app`, area.at("native")]);
    },
    run: async (merged) => {
      const home = merged.area.at("home");
      const env = {
        ...process.env,
        HOME: home,
        npm_config_cache: `${home}/cache`,
        npm_config_update_notifier: "false",
      };
      const install =
        "npm ci --prefer-offline --no-audit --no-fund --loglevel=error >npm.log 2>&1 || { cat npm.log; exit 1; }; rm npm.log";
      const list =
        "find . -type f ! -name .package-lock.json | sort | xargs -d '\\n' sha256sum; find . -type l -printf '%p %l\\n' | sort";
      const wanted = await shell(list, { cwd: merged.area.at("native") });
      await script(merged, install, "app", { env });
      expectEqual(merged, "what npm ci installed", await script(merged, list, "app"), wanted);
      expectEqual(merged, "the program", await script(merged, "node index.js", "app"), "served\n");
      await script(
        merged,
        "node_modules/.bin/esbuild index.js --bundle --platform=node --outfile=out.js --log-level=error",
        "app",
      );
      expectEqual(merged, "the bundled program", await script(merged, "node out.js && rm out.js", "app"), "served\n");
      await merged.remount();
      expectEqual(merged, "the program after a remount", await script(merged, "node index.js", "app"), "served\n");
      await script(merged, "rm -rf node_modules/express && mv node_modules gone", "app");
      await script(merged, install, "app", { env });
      await script(merged, "rm -rf gone", "app");
      expectEqual(merged, "what the second npm ci installed", await script(merged, list, "app"), wanted);
    },
  },
]);

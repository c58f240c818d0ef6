// @ts-check
/**
 * A volume plugin for tests: node volume-plugin.mjs SOCKET|PORT-FILE DIRECTORY [CERTIFICATES]. Below DIRECTORY it has `mnt/NAME`, on which it mounts at the first
 * Mount a tmpfs, or with the option keep=yes the directory `kept/NAME`, and unmounts at the last Unmount; `calls`, a line of JSON for each
 * request; and it reads `behaviour`, a JSON object from calls to the ways in which it is to answer wrongly. Volumes are `volumes/NAME.json`, so
 * that they outlive it; what is mounted for whom does not. What ends in PORT is given the number of the port, on 127.0.0.1; with
 * a directory of certificates that is TLS, with clients that show theirs.
 */
import { spawnSync } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { join } from "node:path";

const [, , socket = "", directory = "", certificates] = process.argv;
const at = (/** @type {string[]} */ ...names) => join(directory, ...names);
for (const name of ["mnt", "kept", "volumes"]) mkdirSync(at(name), { recursive: true });

/** @typedef {{ Name?: string, ID?: string, Opts?: Record<string, string> }} Request */

/** @type {Map<string, Set<string>>} */
const users = new Map();

/** @param {string} program @param {string[]} args */
function run(program, ...args) {
  const { status, stderr } = spawnSync(program, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr.trim());
}

/** @param {string} name */
function known(name) {
  if (!existsSync(at("volumes", `${name}.json`))) throw new Error(`there is no volume ${name}`);
  return JSON.parse(readFileSync(at("volumes", `${name}.json`), "utf8"));
}

/** @param {string} name */
const idsOf = (name) => users.get(name) ?? new Set();
/** @param {string} name */
const described = (name) => ({
  Name: name,
  Mountpoint: idsOf(name).size > 0 ? at("mnt", name) : "",
  CreatedAt: "2020-01-02T03:04:05Z",
  Status: { users: idsOf(name).size, options: known(name) },
});

/** @type {Record<string, (request: Request & { Name: string }) => object>} */
const calls = {
  "/Plugin.Activate": () => ({ Implements: ["VolumeDriver"] }),
  "/VolumeDriver.Create": ({ Name, Opts }) => {
    writeFileSync(at("volumes", `${Name}.json`), JSON.stringify(Opts ?? null));
    return {};
  },
  "/VolumeDriver.Remove": ({ Name }) => {
    known(Name);
    if (idsOf(Name).size > 0) throw new Error(`${Name} is mounted`);
    rmSync(at("volumes", `${Name}.json`));
    rmSync(at("kept", Name), { recursive: true, force: true });
    return { Err: "" };
  },
  "/VolumeDriver.Mount": ({ Name, ID = "" }) => {
    const options = known(Name);
    const ids = idsOf(Name);
    if (ids.has(ID)) throw new Error(`${Name} is mounted for ${ID} already`);
    mkdirSync(at("mnt", Name), { recursive: true });
    if (ids.size === 0) {
      mkdirSync(at("kept", Name), { recursive: true });
      if (options?.keep === "yes") run("mount", "--bind", at("kept", Name), at("mnt", Name));
      else run("mount", "-t", "tmpfs", "plugin", at("mnt", Name));
    }
    users.set(Name, ids.add(ID));
    return { Mountpoint: at("mnt", Name), Err: null };
  },
  "/VolumeDriver.Unmount": ({ Name, ID = "" }) => {
    const ids = idsOf(Name);
    if (!ids.delete(ID)) throw new Error(`${Name} is not mounted for ${ID}`);
    if (ids.size === 0) run("umount", at("mnt", Name));
    return {};
  },
  "/VolumeDriver.Path": ({ Name }) => ({ Mountpoint: described(Name).Mountpoint }),
  "/VolumeDriver.Get": ({ Name }) => ({ Volume: described(Name) }),
  "/VolumeDriver.List": () => ({
    Volumes: readdirSync(at("volumes")).map((file) => described(file.replace(/\.json$/, ""))),
  }),
  "/VolumeDriver.Capabilities": () => ({ Capabilities: { Scope: "global" } }),
};

/**
 * Wrong answers, by name.
 * @type {Record<string, (response: import("node:http").ServerResponse) => void>}
 */
const wrong = {
  hang: () => {},
  close: (response) => void response.socket?.destroy(),
  "half an answer": (response) => {
    response.writeHead(200, { "Content-Length": "100" });
    response.write('{"Mountpoint": "/tm', () => response.socket?.destroy());
  },
  "no HTTP": (response) => void response.socket?.end("hello there\n"),
  huge: (response) => void response.end(`{"Mountpoint": "${"x".repeat(9 << 20)}"}`),
};

/** @param {string} call @returns {unknown} */
function behaviour(call) {
  return existsSync(at("behaviour")) ? JSON.parse(readFileSync(at("behaviour"), "utf8"))[call] : undefined;
}

/** @type {import("node:http").RequestListener} */
const answer = async (request, response) => {
  let text = "";
  for await (const chunk of request) text += chunk;
  const call = request.url ?? "";
  const document = text === "" ? null : JSON.parse(text);
  const { accept, "content-type": type } = request.headers;
  appendFileSync(at("calls"), `${JSON.stringify({ call, method: request.method, accept, type, ...document })}\n`);
  const how = behaviour(call);
  // What is wrong with the answer may come after the work.
  if (Array.isArray(how) && how[0] === "done") calls[call]?.(document);
  const asked = Array.isArray(how) ? how[1] : how;
  if (typeof asked === "string" && wrong[asked] !== undefined) return wrong[asked](response);
  if (typeof asked === "object" && asked !== null && "status" in asked) {
    response.writeHead(Number(asked.status));
    return void response.end("body" in asked ? String(asked.body) : "");
  }
  response.setHeader("Content-Type", "application/vnd.docker.plugins.v1.1+json");
  try {
    response.end(JSON.stringify(calls[call]?.(document) ?? { Err: `unknown call ${call}` }));
  } catch (error) {
    response.writeHead(call === "/VolumeDriver.Get" ? 500 : 200);
    response.end(JSON.stringify({ Err: error instanceof Error ? error.message : String(error) }));
  }
};

/** @param {string} from */
function secureServer(from) {
  const [ca, cert, key] = ["ca.pem", "cert.pem", "key.pem"].map((name) => readFileSync(join(from, name)));
  return createSecureServer({ ca, cert, key, requestCert: true, rejectUnauthorized: true }, answer);
}

const server = certificates === undefined ? createServer(answer) : secureServer(certificates);

if (socket.endsWith("PORT")) {
  server.listen(0, "127.0.0.1", () => {
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    writeFileSync(socket, String(address.port));
  });
} else server.listen(socket);

import { readFileSync } from "node:fs";
import type { ClientRequest, IncomingMessage, RequestOptions } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { reason } from "../data-root.js";
import { StoreError } from "../error.js";
import { checkInterruption, interruption } from "../interruption.js";
import type { PluginAddress } from "./discovery.js";

/** What Docker says that it speaks. */
const mediaType = "application/vnd.docker.plugins.v1.2+json";
/** The longest reply, in bytes: a list of some ten thousand volumes. */
const replyLimit = 8 << 20;
/** How deep it may be nested: what is much deeper cannot be printed. */
const depthLimit = 100;
/** How much is repeated of what a plugin said, in characters. */
const quoteLimit = 300;

/** Something went wrong with a plugin; the message is one line that names it and the call. */
export class PluginError extends StoreError {
  /**
   * `absent`: it has not got the request. `silent`: it has, and there is no answer. `refused`: it answered that it will not. `wrong`: its answer
   * cannot be what it means.
   */
  constructor(
    plugin: string,
    /** With the volume that it was about. */
    readonly call: string,
    readonly kind: "absent" | "silent" | "refused" | "wrong",
    why: string,
    cause?: unknown,
  ) {
    super(`volume plugin ${plugin}: ${call}: ${why}`, { cause });
  }
}

/** How long a call may take, in milliseconds. */
export interface CallLimits {
  /** From the connection to the end of the answer. */
  readonly answer: number;
  /** How long a plugin that does not listen yet is tried again. */
  readonly patience: number;
}

/** What a plugin says, for a message: one line of printable characters, cut off. */
export function quoted(text: string): string {
  const line = text.trim().replace(/\s+/g, " ");
  // Letters that a terminal would obey are none for people.
  const printable = line.replace(/\p{C}/gu, "?");
  return printable.length > quoteLimit ? `${printable.slice(0, quoteLimit)}…` : printable;
}

/**
 * One call: POST of a JSON document (none for the first call of all), and the JSON object that answers it, whose `Err` says nothing. Only
 * what has not reached the plugin is said again; Docker's daemon also says again what it got no answer to, and may have a volume mounted twice.
 * Throws PluginError.
 */
export async function callPlugin(
  address: PluginAddress,
  call: string,
  document: { readonly Name?: string } | undefined,
  limits: CallLimits,
): Promise<Readonly<Record<string, unknown>>> {
  const what = document?.Name === undefined ? call : `${call} of ${document.Name}`;
  const text = document === undefined ? "" : `${JSON.stringify(document)}\n`;
  const deadline = performance.now() + limits.patience;
  // What undoes something after an interruption is done as ever.
  const undoes = interruption.aborted;
  for (let pause = 50; ; pause = Math.min(2 * pause, 1000)) {
    const answer = await exchange(address, call, text, limits.answer, undoes).catch((error: unknown) => error);
    if (!(answer instanceof Error)) return replyOf(address.name, what, answer as Answer);
    const isAbsent = isUnreached(answer);
    if (!isAbsent || performance.now() + pause > deadline) {
      throw new PluginError(address.name, what, isAbsent ? "absent" : "silent", explained(answer, address), answer);
    }
    await sleep(pause);
    if (!undoes) checkInterruption();
  }
}

/** Whether there was no connection: nothing has been said to anybody. A host of several addresses gives an error for each, in one. */
export function isUnreached(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.length > 0 && error.errors.every(isUnreached);
  return /^(connect|getaddrinfo)$/.test((error as NodeJS.ErrnoException).syscall ?? "");
}

/** What went wrong, for a message. */
export function explained(error: unknown, address: Pick<PluginAddress, "shown">): string {
  // Of its own it has no message.
  if (error instanceof AggregateError && isUnreached(error)) return explained(error.errors[0], address);
  const { shown } = address;
  const code = (error as NodeJS.ErrnoException).code ?? "";
  if (isUnreached(error)) {
    return /^(ECONNREFUSED|ENOENT)$/.test(code) ? `nobody listens at ${shown}` : `${shown}: ${reason(error)}`;
  }
  if (/^(ECONNRESET|EPIPE)$/.test(code)) return "it closed the connection before its answer was complete";
  if (code === "ABORT_ERR") return "interrupted";
  if (code.startsWith("HPE_")) return "what it answers is no HTTP";
  return reason(error);
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

/** Sends a request and reads the answer. Throws what Node throws, and errors whose message says what was wrong. */
async function exchange(
  address: PluginAddress,
  call: string,
  text: string,
  limit: number,
  undoes: boolean,
): Promise<Answer> {
  const { target, tls } = address;
  const isSecure = "protocol" in target && target.protocol === "https:";
  const options: RequestOptions = {
    ...target,
    path: `/${call}`,
    method: "POST",
    agent: false,
    ...(undoes ? {} : { signal: interruption }),
    headers: { Accept: mediaType, "Content-Type": mediaType, "Content-Length": Buffer.byteLength(text) },
  };
  const secrets = tls === undefined ? {} : secretsOf(tls);
  const { request } = await (isSecure ? import("node:https") : import("node:http"));
  return await new Promise((resolve, reject) => {
    const sent: ClientRequest = request({ ...options, ...secrets }, (response) => {
      read(response).then(resolve, reject).finally(finish);
    });
    const timer = setTimeout(() => {
      reject(new Error(`no answer within ${limit / 1000} seconds`));
      sent.destroy();
    }, limit);
    const finish = (): void => {
      clearTimeout(timer);
      sent.destroy();
    };
    sent.on("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    sent.end(text);
  });
}

function secretsOf({ ca, cert, key, trustsAnybody }: NonNullable<PluginAddress["tls"]>) {
  return {
    ...(ca === undefined ? {} : { ca: secret(ca) }),
    ...(cert === undefined ? {} : { cert: secret(cert) }),
    ...(key === undefined ? {} : { key: secret(key) }),
    rejectUnauthorized: !trustsAnybody,
  };
}

function secret(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new Error(`${path} of its TLSConfig cannot be read: ${reason(cause)}`, { cause });
  }
}

async function read(response: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response) {
    chunks.push(chunk as Buffer);
    length += (chunk as Buffer).length;
    if (length > replyLimit) throw new Error(`its answer is longer than ${replyLimit >> 20} MiB`);
  }
  return { status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString("utf8") };
}

function replyOf(plugin: string, call: string, { status, body }: Answer): Readonly<Record<string, unknown>> {
  let reply: unknown;
  try {
    reply = JSON.parse(body);
  } catch {
    // Said below.
  }
  const isObject = typeof reply === "object" && reply !== null && !Array.isArray(reply);
  const fields = isObject ? (reply as Record<string, unknown>) : {};
  const problem = field(fields, "Err") ?? "";
  const said = typeof problem === "string" ? problem : "";
  if (status !== 200) {
    const what = quoted(said === "" ? body : said);
    throw new PluginError(plugin, call, "refused", `HTTP status ${status}${what === "" ? "" : `: ${what}`}`);
  }
  if (!isObject) {
    const what = body.trim() === "" ? "empty" : `no JSON object: ${quoted(body)}`;
    throw new PluginError(plugin, call, "wrong", `its answer is ${what}`);
  }
  if (isTooDeep(fields)) throw new PluginError(plugin, call, "wrong", "its answer is nested too deeply");
  if (typeof problem !== "string") throw new PluginError(plugin, call, "wrong", '"Err" in its answer is no text');
  if (said !== "") throw new PluginError(plugin, call, "refused", quoted(said));
  return fields;
}

function isTooDeep(reply: object): boolean {
  let level: unknown[] = [reply];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > depthLimit) return true;
    level = level.flatMap((one) => (typeof one === "object" && one !== null ? Object.values(one) : []));
  }
  return false;
}

/** A field of a reply; null is as good as none. Docker's decoder does not care for capital letters, and so plugins may not. */
export function field(reply: Readonly<Record<string, unknown>>, name: string): unknown {
  const key = Object.hasOwn(reply, name)
    ? name
    : Object.keys(reply).find((one) => one.toLowerCase() === name.toLowerCase());
  return key === undefined ? undefined : (reply[key] ?? undefined);
}

/** One-line descriptions of requests and answers, made from the opcode table; used only when debugging. */
import { errnoName } from "../errno.js";
import { outHeaderSize } from "./constants.js";
import { type Field, opcodeName, opcodes } from "./opcodes.js";
import type { Reply } from "./reply.js";
import type { Request } from "./request.js";

/** A name in quotes, with everything that is no printable ASCII escaped. */
export function quoted(name: string): string {
  return `"${name.replace(/[^ -~]|["\\]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`)}"`;
}

function unique(low: number, high: number): string {
  return (high * 4294967296 + low).toString();
}

function field(request: Request, [label, at, kind]: Field): string {
  const glue = label.endsWith(" n") ? "" : " ";
  switch (kind) {
    case "u32":
      return `${label}${glue}${request.u32(at)}`;
    case "u64":
      return `${label}${glue}${request.u64(at)}`;
    case "i64":
      return `${label}${glue}${request.i64(at)}`;
    case "octal":
      return `${label}${glue}0${request.u32(at).toString(8)}`;
    case "hex":
      return `${label}${glue}0x${request.u32(at).toString(16)}`;
  }
}

/** `rx 12: LOOKUP n1 "etc"`, for a request whose header and body were parsed without error. */
export function traceRequest(request: Request): string {
  const row = opcodes[request.opcode];
  const parts = [
    `rx ${unique(request.uniqueLow, request.uniqueHigh)}: ${opcodeName(request.opcode)} n${request.nodeid}`,
  ];
  if (row !== undefined) {
    if (row.names > 0) parts.push(quoted(request.name()));
    if (row.names > 1) parts.push(quoted(request.secondName()));
    for (const each of row.fields) parts.push(field(request, each));
  }
  return parts.join(" ");
}

/** `tx 12: OK n5`, `tx 14: ENOENT`, for an answer whose header is complete. */
export function traceReply(opcode: number, reply: Reply): string {
  const view = new DataView(reply.bytes.buffer, reply.bytes.byteOffset, reply.length);
  const start = `tx ${unique(view.getUint32(8, true), view.getUint32(12, true))}: `;
  const error = view.getInt32(4, true);
  if (error !== 0) return start + errnoName(error);
  const payload = reply.length - outHeaderSize;
  if (payload === 0) return `${start}OK`;
  switch (opcodes[opcode]?.answer) {
    case "entry":
    case "create": {
      const nodeid = view.getUint32(16, true);
      return nodeid === 0 ? `${start}OK, no entry` : `${start}OK n${nodeid}`;
    }
    case "open":
      return `${start}OK fh ${view.getUint32(16, true)}`;
    case "written":
      return `${start}OK ${view.getUint32(16, true)}`;
    default:
      return `${start}OK ${payload} bytes`;
  }
}

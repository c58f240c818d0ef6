import type { Reply } from "../protocol/reply.js";
import type { Request } from "../protocol/request.js";
import type { Cred } from "../union/cred.js";
import type { SetAttr } from "../union/ops/setattr.js";
import type { Union } from "../union/union.js";
import type { IoPolicy, Log } from "./config.js";
import type { ReplySink } from "./dir-sink.js";
import type { Forgets } from "./forgets.js";
import type { Listings } from "./listings.js";
import type { Notifier } from "./notify.js";
import type { Opens } from "./opens.js";

/** What INIT agreed on, as far as handlers care. */
export interface Agreement {
  readonly minor: number;
  /** SETXATTR's fixed part has 16 bytes instead of 8. */
  readonly setxattrExtended: boolean;
  /** The largest WRITE, in bytes. */
  readonly maxWrite: number;
  /** Who reads and writes open files, as far as that can be had. */
  readonly io: IoPolicy;
}

/** The result of a handler: the answer comes from somewhere else, or there is none. Outside the range of error numbers. */
export const NO_REPLY = -100001;

/**
 * What a handler works with. There is one of it for each session and everything in it is reused for each request: no
 * handler may keep a part of it.
 */
export interface Service {
  readonly union: Union;
  /** The descriptor of /dev/fuse. */
  readonly channel: number;
  readonly agreement: Agreement;
  /** The request being handled. */
  request: Request;
  readonly reply: Reply;
  readonly cred: Cred;
  readonly setAttr: SetAttr;
  readonly sink: ReplySink;
  readonly listings: Listings;
  readonly forgets: Forgets;
  readonly notifier: Notifier;
  readonly opens: Opens;
  readonly log: Log;
  /** The request is answered with the result of this job, which has just been started. Returns NO_REPLY. */
  awaits(job: number): number;
  /** INTERRUPT: the request with this unique is no longer wanted. */
  interrupted(uniqueLow: number, uniqueHigh: number): void;
}

/**
 * One function for each opcode: reads `service.request`, calls the union, fills `service.reply`. >= 0: the reply is
 * complete; -errno; PARK: dispatch it again when the union's job has ended; NO_REPLY.
 */
export type Handler = (service: Service) => number;

/** The answer of an operation that yields a node: its entry, or the operation's error. */
export function entry(s: Service, nodeid: number): number {
  if (nodeid < 0) return nodeid;
  s.reply.trusted = s.union.openFiles.trusts(nodeid);
  s.reply.entry(nodeid, s.union.generation(nodeid), s.union.stat.words);
  return 0;
}

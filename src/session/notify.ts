import { native } from "../native/index.js";
import { Notification, prunedAtOnce } from "../protocol/notification.js";

/**
 * What the driver may tell the kernel by itself. It is handed to whoever needs it; a test hands over a recorder.
 *
 * The kernel takes locks to carry these out that it may hold while it waits for an answer (a directory's for the entries in
 * it, a page's for the data). A driver with one thread must therefore never send them while a request is open for the same
 * object. All changes come through the mount so far, and nothing has to be told.
 */
export interface Notifier {
  /** A node's attributes are stale, and its data from `offset` for `length` bytes (0: to the end; `offset` < 0: none). */
  invalInode(nodeid: number, offset: number, length: number): number;
  /** A name in a directory is stale. */
  invalEntry(parent: number, name: string): number;
  /** A name is gone, and with it the object `child`. */
  delete(parent: number, child: number, name: string): number;
  /** Nodes that the driver would like to be forgotten, which the kernel does with those that nobody uses. From Linux 6.18 on. */
  prune(nodes: readonly number[]): number;
}

/** Sends notifications to the kernel: 0, -ENOENT if the kernel does not know the object, or -errno. */
export class ChannelNotifier implements Notifier {
  private readonly message = new Notification();

  constructor(private readonly channel: number) {}

  invalInode(nodeid: number, offset: number, length: number): number {
    return this.send(this.message.invalInode(nodeid, offset, length));
  }

  invalEntry(parent: number, name: string): number {
    return this.send(this.message.invalEntry(parent, name, 0));
  }

  delete(parent: number, child: number, name: string): number {
    return this.send(this.message.delete(parent, child, name));
  }

  prune(nodes: readonly number[]): number {
    for (let at = 0; at < nodes.length; at += prunedAtOnce) {
      const sent = this.send(this.message.prune(nodes.slice(at, at + prunedAtOnce)));
      if (sent < 0) return sent;
    }
    return 0;
  }

  private send(length: number): number {
    return native.reply(this.channel, this.message.bytes, length);
  }
}

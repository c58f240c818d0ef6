import { basename, dirname, join } from "node:path";
import { publish } from "../../store/atomic.js";

/** Something in the data root that is not as it should be. */
export interface Finding {
  /** What it is about: `layer 0123456789ab`, `container web`. */
  readonly what: string;
  readonly problem: string;
  /** What `repair` does; or, where there is none, what the user can do. */
  readonly remedy: string;
  /** Mends it, unless it has mended itself meanwhile. Throws StoreError. */
  readonly repair?: () => Promise<void> | void;
}

/** Keeps what is damaged, out of the way: under its name and `.damaged` with the time. */
export function putAside(path: string): void {
  publish(path, join(dirname(path), `${basename(path)}.damaged.${Date.now()}`));
}

/** Where overlayfs keeps its attributes for a privileged mount, and for one without privileges (its option `userxattr`). */
export const TRUSTED_PREFIX = "trusted.overlay.";
export const USER_PREFIX = "user.overlay.";

/**
 * The names of the attributes that a mount writes its marks in, chosen once for each mount. Reading does not ask here: it
 * understands both families in every layer (marks.ts), but for what leads elsewhere (`Union.followsUser`).
 */
export class MarkNames {
  readonly opaque: string;
  readonly redirect: string;
  readonly origin: string;
  readonly nlink: string;
  /** On the index: the upper that it belongs to. */
  readonly upper: string;
  readonly metacopy: string;
  readonly impure: string;
  readonly protattr: string;
  readonly whiteout: string;
  /** Ours: see `readPlain`. */
  readonly plain: string;
  /**
   * Ours, on a metacopy while its data is copied into it: the attributes that the copying disturbs, as they were. They are put
   * back when it is done, or by the next mount if that never comes.
   */
  readonly pending: string;

  constructor(readonly prefix: typeof TRUSTED_PREFIX | typeof USER_PREFIX) {
    this.opaque = `${prefix}opaque`;
    this.redirect = `${prefix}redirect`;
    this.origin = `${prefix}origin`;
    this.nlink = `${prefix}nlink`;
    this.upper = `${prefix}upper`;
    this.metacopy = `${prefix}metacopy`;
    this.impure = `${prefix}impure`;
    this.protattr = `${prefix}protattr`;
    this.whiteout = `${prefix}whiteout`;
    this.plain = `${prefix}cowfs.plain`;
    this.pending = `${prefix}cowfs.pending`;
  }

  /** Whether they are `user.` attributes, which only regular files and directories can have. */
  get isUser(): boolean {
    return this.prefix === USER_PREFIX;
  }
}

export const trustedNames = new MarkNames(TRUSTED_PREFIX);
export const userNames = new MarkNames(USER_PREFIX);

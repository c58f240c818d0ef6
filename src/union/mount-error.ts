/** Why a union cannot be mounted: one line that names the path and says what to do. */
export class MountError extends Error {
  override readonly name = "MountError";

  constructor(
    message: string,
    readonly path?: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

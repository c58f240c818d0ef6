import { StoreError } from "../../store/error.js";

/** A mount is asked for in words that mean nothing: wrong usage, where the command line is what was wrong. */
export class SpecError extends StoreError {
  override readonly name = "SpecError";
}

import { WHITEOUT_PREFIX } from "../../layer/marks.js";
import { StoreError } from "../error.js";
import { quote } from "./layer-names.js";

/** The directory of a path in an archive, and the name in it. */
export function splitPath(path: string): [parent: string, name: string] {
  const slash = path.lastIndexOf("/");
  return [path.slice(0, Math.max(slash, 0)), path.slice(slash + 1)];
}

/** Throws StoreError for what would be taken for a mark. */
export function checkName(name: string, path: string): void {
  if (name.startsWith(WHITEOUT_PREFIX)) throw noName(path);
}

/** Why something is in no archive: of its name, */
export function noName(path: string): StoreError {
  return new StoreError(
    `${quote(path)} cannot be in an image layer: names that begin with .wh. mean something else there`,
  );
}

/** or of its type. */
export function noDevice(path: string): StoreError {
  return new StoreError(`${quote(path)} is a character device 0:0, which no image layer can have`);
}

import { attributes } from "./attributes.js";
import { data } from "./data.js";
import { inodes } from "./inodes.js";
import { links } from "./links.js";
import { names } from "./names.js";
import { readdir } from "./readdir.js";
import { rename } from "./rename.js";
import type { Theme } from "./table.js";
import { whiteouts } from "./whiteouts.js";

/** All of the table, in the order of the document. */
export const themes: readonly Theme[] = [
  ...links,
  ...rename,
  ...whiteouts,
  ...inodes,
  ...readdir,
  ...data,
  ...attributes,
  ...names,
];

import { coherence } from "./coherence.js";
import { data } from "./data.js";
import { dataBelow } from "./data-below.js";
import { inodes } from "./inodes.js";
import { links } from "./links.js";
import { names } from "./names.js";
import { opening } from "./opening.js";
import { owners } from "./owners.js";
import { programs } from "./programs.js";
import { readdir } from "./readdir.js";
import { renameOver } from "./rename-over.js";
import { renamedDirectories } from "./renamed-directories.js";
import { renamedFiles } from "./renamed-files.js";
import { system } from "./system.js";
import type { Theme } from "./table.js";
import { times } from "./times.js";
import { whiteouts } from "./whiteouts.js";
import { xattrs } from "./xattrs.js";

/** All of the table, in the order of the document. */
export const themes: readonly Theme[] = [
  ...links,
  ...renameOver,
  ...renamedDirectories,
  ...renamedFiles,
  ...whiteouts,
  ...inodes,
  ...readdir,
  ...coherence,
  ...data,
  ...dataBelow,
  ...xattrs,
  ...owners,
  ...times,
  ...names,
  ...opening,
  ...programs,
  ...system,
];

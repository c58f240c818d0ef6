import { links } from "./links.js";
import type { Theme } from "./table.js";

/** All of the table, in the order of the document. */
export const themes: readonly Theme[] = [...links];

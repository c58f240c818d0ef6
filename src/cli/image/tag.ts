import type { Command } from "commander";
import { findImage, tagImage } from "../../store/images.js";
import { rootOf } from "../root-option.js";

/** `cowfs image tag IMAGE NAME[:TAG]`. */
export async function imageTagCommand(command: Command, source: string, name: string): Promise<number> {
  const root = rootOf(command);
  await tagImage(root, findImage(root, source).id, name);
  return 0;
}

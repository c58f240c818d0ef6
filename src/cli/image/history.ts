import type { Command } from "commander";
import { imagesByLayer } from "../../store/image-users.js";
import { findImage, listImages, readConfig } from "../../store/images.js";
import { readLayer } from "../../store/layers.js";
import { shortId } from "../../store/names.js";
import type { ImageHistory, LayerRecord } from "../../store/records.js";
import { print } from "../exit.js";
import { age } from "../output/age.js";
import { bar, legend } from "../output/bar.js";
import { printList, type View } from "../output/list.js";
import type { ListOptions } from "../output/options.js";
import { size } from "../output/size.js";
import { rootOf } from "../root-option.js";
import { imageTitle } from "./stored.js";

/** A step of an image's making, and the layer that it left, if any. */
interface Row {
  readonly step: ImageHistory | undefined;
  readonly layer: LayerRecord | undefined;
  /** The other images that have the layer. */
  readonly sharedWith: readonly string[];
}

/** The columns of a bar, which stands for the whole image. */
const barWidth = 24;

function view(isLong: boolean, whole: number): View<Row> {
  const shortened = (text: string, length: number): string =>
    isLong || text.length <= length ? text : `${text.slice(0, length - 1)}…`;
  const sizeOf = ({ layer }: Row): number => layer?.size ?? 0;
  return {
    fields: {
      ID: {
        header: "LAYER",
        of: ({ layer }) => (layer === undefined ? "-" : isLong ? layer.diffId : shortId(layer.diffId)),
      },
      CreatedSince: { header: "CREATED", of: ({ step }) => age(step?.created) },
      CreatedAt: { header: "CREATED AT", of: ({ step }) => step?.created ?? "N/A" },
      CreatedBy: { header: "CREATED BY", of: ({ step }) => shortened(instruction(step), 45) },
      Size: { header: "SIZE", of: (row) => size(sizeOf(row), 3) },
      Bar: {
        header: "",
        of: (row) =>
          bar([{ value: sizeOf(row), fill: row.sharedWith.length > 0 ? "shaded" : "solid" }], whole, barWidth),
      },
      SharedWith: { header: "SHARED WITH", of: ({ sharedWith }) => shortened(sharedWith.join(", ") || "-", 40) },
      Comment: { header: "COMMENT", of: ({ step }) => step?.comment ?? "" },
    },
    columns: ["ID", "CreatedSince", "CreatedBy", "Size", "Bar", "SharedWith"],
    quiet: "ID",
    object: ({ step, layer, sharedWith }) => ({
      layer: layer?.diffId ?? null,
      created: step?.created ?? null,
      createdBy: step?.created_by ?? null,
      comment: step?.comment ?? null,
      size: layer?.size ?? 0,
      sharedWith,
    }),
  };
}

/** What made a layer, without what every line of a Dockerfile's history begins with. */
function instruction(step: ImageHistory | undefined): string {
  if (step === undefined) return "<missing>";
  return (step.created_by ?? "")
    .replace(/^\/bin\/sh -c #\(nop\)\s+/, "")
    .replace(/^\/bin\/sh -c /, "RUN ")
    .replace(/\s+/g, " ")
    .trim();
}

/** The steps of a history and the layers beside each other, the last one first. One list may end before the other: histories are only told. */
function steps(history: readonly ImageHistory[], layers: readonly LayerRecord[]): Omit<Row, "sharedWith">[] {
  const rest = [...layers];
  const rows: Omit<Row, "sharedWith">[] = history.map((step) => ({
    step,
    layer: step.empty_layer === true ? undefined : rest.shift(),
  }));
  for (const layer of rest) rows.push({ step: undefined, layer });
  return rows.reverse();
}

/** `cowfs image history IMAGE`: what each step of an image's making weighs, and who shares it. */
export function imageHistoryCommand(command: Command, word: string, options: ListOptions): number {
  const root = rootOf(command);
  const image = findImage(root, word);
  const users = imagesByLayer(listImages(root));
  const records = image.layers.map((diffId) => readLayer(root, diffId));
  const rows = steps(readConfig(root, image.id).history ?? [], records).map((row) => {
    const others = row.layer === undefined ? [] : (users.get(row.layer.diffId) ?? []);
    return { ...row, sharedWith: others.filter(({ id }) => id !== image.id).map(imageTitle) };
  });
  const whole = records.reduce((sum, record) => sum + record.size, 0);
  printList(rows, view(options.trunc === false, whole), options);
  if (options.json === true || options.quiet === true || (options.format ?? "table") !== "table") return 0;
  const shared = rows.reduce((sum, { layer, sharedWith }) => sum + (sharedWith.length > 0 ? (layer?.size ?? 0) : 0), 0);
  const parts = legend(`${size(whole - shared, 3)} of its own,`, `${size(shared, 3)} shared with other images`);
  print(`\n${records.length} ${records.length === 1 ? "layer" : "layers"}, ${size(whole, 3)}: ${parts}\n`);
  return 0;
}

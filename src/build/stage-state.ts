/** What a stage has become by now: a configuration, layers and their history. */
import { createHash } from "node:crypto";
import { ownPlatform } from "../store/archive/platform.js";
import type { ImageConfig, ImageHistory, ImageRunConfig } from "../store/records.js";
import { shortened } from "./build-error.js";
import type { Lookup } from "./expand.js";

/** Longer instructions are cut off in the history. */
const longestSource = 1000;

export class StageState {
  /** ARG instructions so far: names with their values. */
  readonly args: Map<string, string>;
  config: ImageRunConfig;
  author: string | undefined;
  /** The lowest first. */
  readonly layers: string[];
  readonly history: ImageHistory[];
  /** The stage itself has said what is run: an ENTRYPOINT does not take that away. */
  hasCommand = false;

  /** `below` is what the stage starts from, undefined for `scratch`; if that is a stage, `args` are those of it. */
  constructor(
    private readonly below: ImageConfig | undefined,
    args: ReadonlyMap<string, string> = new Map(),
  ) {
    this.args = new Map(args);
    this.config = below?.config ?? {};
    this.author = below?.author;
    this.layers = [...(below?.rootfs.diff_ids ?? [])];
    this.history = [...(below?.history ?? [])];
    // Histories are only told; but steps and layers are put together by their number.
    const told = this.history.filter(({ empty_layer }) => empty_layer !== true).length;
    for (let layer = told; layer < this.layers.length; layer++) this.history.push({ comment: "not in the history" });
    // What a Dockerfile builds on nothing is to find its programs all the same.
    if (below === undefined) this.config = { Env: [`PATH=${scratchPath}`] };
  }

  get env(): readonly string[] {
    return this.config.Env ?? [];
  }

  get workingDirectory(): string {
    return this.config.WorkingDir || "/";
  }

  /** Variables as instructions see them: ENV goes before ARG. */
  readonly lookup: Lookup = (name) => {
    const variable = this.env.find((one) => one.startsWith(`${name}=`));
    return variable?.slice(name.length + 1) ?? this.args.get(name);
  };

  /** Notes an instruction that only changes the configuration: it has no time of its own. */
  noteMetadata(source: string): void {
    const created = this.history.at(-1)?.created;
    this.note({ ...(created !== undefined && { created }), created_by: source, empty_layer: true });
  }

  /** Notes an instruction that may have left a layer. */
  noteLayer(source: string, created: string, layer: string | undefined): void {
    if (layer !== undefined) this.layers.push(layer);
    this.note({ created, created_by: source, ...(layer === undefined && { empty_layer: true }) });
  }

  private note({ created_by = "", ...rest }: ImageHistory): void {
    this.history.push({ created_by: shortened(created_by, longestSource), ...rest });
  }

  /** When the newest layer was made: the same steps, taken from the cache, give the same image. */
  get created(): string {
    return this.history.at(-1)?.created ?? this.below?.created ?? new Date(0).toISOString();
  }

  /** The image's configuration. `created` also stands for the times of instructions that have none; without it the stage goes on. */
  document(created?: string): ImageConfig {
    const time = created === undefined ? {} : { created };
    return {
      ...ownPlatform(),
      ...this.below,
      ...time,
      ...(this.author !== undefined && { author: this.author }),
      config: this.config,
      rootfs: { type: "layers", diff_ids: this.layers },
      history: this.history.map((entry) => ({ ...time, ...entry })),
    };
  }
}

const scratchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** A key of the cache: of everything that decides what a step makes. Another number means another way of making it. */
export function keyOf(...parts: readonly unknown[]): string {
  return createHash("sha256")
    .update(JSON.stringify([1, ...parts]))
    .digest("hex");
}

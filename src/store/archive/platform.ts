/** Platforms as images name them: `linux/amd64`, `linux/arm64/v8`. */
import { StoreError } from "../error.js";

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
}

const architectures: Readonly<Record<string, string>> = { x64: "amd64", ia32: "386", arm64: "arm64", arm: "arm" };

/** The platform of this machine. */
export function ownPlatform(): Platform {
  return { os: "linux", architecture: architectures[process.arch] ?? process.arch };
}

/** Throws StoreError for what is no `OS/ARCHITECTURE[/VARIANT]`. */
export function parsePlatform(text: string): Platform {
  const [os = "", architecture, variant, ...rest] = text.split("/");
  const parts = [os, architecture ?? "", variant ?? "x"];
  if (rest.length > 0 || !parts.every((part) => /^[a-z0-9_.-]+$/.test(part))) {
    throw new StoreError(
      `${JSON.stringify(text)} is no platform: it is OS/ARCHITECTURE[/VARIANT], such as linux/amd64 or linux/arm64/v8`,
    );
  }
  return { os, architecture: architecture as string, ...(variant !== undefined && { variant }) };
}

/** Whether an image for `offered` serves who wants `wanted`. */
export function matches(wanted: Platform, offered: Platform): boolean {
  return (
    wanted.os === offered.os &&
    wanted.architecture === offered.architecture &&
    (wanted.variant === undefined || offered.variant === undefined || wanted.variant === offered.variant)
  );
}

export function showPlatform({ os, architecture, variant }: Platform): string {
  return [os, architecture, variant].filter(Boolean).join("/");
}

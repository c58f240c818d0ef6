import { StoreError } from "../store/error.js";
import { jsonStrings } from "../store/image-changes.js";
import type { HealthCheck } from "../store/records.js";
import type { Statement } from "./dockerfile.js";

const units: Readonly<Record<string, number>> = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };

/** `1m30s` in nanoseconds. Throws StoreError. */
function nanoseconds(text: string, flag: string): number {
  if (!/^(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+$/.test(text))
    throw new StoreError(`--${flag} takes a time such as 30s or 1m30s, and ${text} is none`);
  let sum = 0;
  for (const [, number, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)) {
    sum += Number(number) * (units[unit ?? ""] ?? 0);
  }
  return Math.round(sum);
}

/** HEALTHCHECK, which cowfs keeps in the configuration, for those who act on it. Throws StoreError. */
export function healthCheckOf({ flags, rest }: Statement): HealthCheck {
  const [kind = "", command = ""] = [/^\S+/.exec(rest)?.[0].toUpperCase(), rest.replace(/^\S+\s*/, "")];
  if (kind === "NONE" && command === "" && flags.length === 0) return { Test: ["NONE"] };
  if (kind !== "CMD" || command === "")
    throw new StoreError("HEALTHCHECK takes NONE, or [--interval=…] CMD and a command");
  const list = jsonStrings(command);
  const given = new Map(flags.map(([name, value]) => [name, value ?? ""]));
  const time = (name: string): number | undefined => {
    const value = given.get(name);
    return value === undefined ? undefined : nanoseconds(value, name);
  };
  const retries = given.get("retries");
  if (retries !== undefined && !/^\d+$/.test(retries))
    throw new StoreError(`--retries takes a number, and ${retries} is none`);
  const [interval, timeout, period, startInterval] = ["interval", "timeout", "start-period", "start-interval"].map(
    time,
  );
  return {
    Test: list === undefined ? ["CMD-SHELL", command] : ["CMD", ...list],
    ...(interval !== undefined && { Interval: interval }),
    ...(timeout !== undefined && { Timeout: timeout }),
    ...(period !== undefined && { StartPeriod: period }),
    ...(startInterval !== undefined && { StartInterval: startInterval }),
    ...(retries !== undefined && { Retries: Number(retries) }),
  };
}

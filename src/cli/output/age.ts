const second = 1;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

/** A span of time for people, as Docker says it: `About an hour`, `3 days`. */
export function duration(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1000);
  const minutes = Math.floor(seconds / minute);
  const hours = Math.round(seconds / hour);
  if (seconds < 1) return "Less than a second";
  if (seconds === 1) return "1 second";
  if (seconds < minute) return `${seconds} seconds`;
  if (minutes === 1) return "About a minute";
  if (minutes < 60) return `${minutes} minutes`;
  if (hours === 1) return "About an hour";
  if (hours < 48) return `${hours} hours`;
  if (seconds < 14 * day) return `${Math.floor(hours / 24)} days`;
  if (seconds < 60 * day) return `${Math.floor(hours / 24 / 7)} weeks`;
  if (seconds < 2 * 365 * day) return `${Math.floor(hours / 24 / 30)} months`;
  return `${Math.floor(hours / 24 / 365)} years`;
}

/** How long ago a time (ISO 8601) was: `2 hours ago`. `N/A` for what is no time, or the zero time of reproducible images. */
export function age(time: string | undefined, now = Date.now()): string {
  const then = Date.parse(time ?? "");
  if (Number.isNaN(then) || then < 0) return "N/A";
  return `${duration(Math.max(0, now - then))} ago`;
}

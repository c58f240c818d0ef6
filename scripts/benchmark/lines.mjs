/** Words for what was measured. */

export function mega(bytes) {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

export function verdict(met, text) {
  return `${met ? "MET" : "MISSED"}: ${text}`;
}

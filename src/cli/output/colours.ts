import picocolors from "picocolors";

/** Whether a stream shows colours: a terminal, unless NO_COLOR (any value) or a terminal that knows none says otherwise. */
export function hasColours(stream: { isTTY?: boolean }, environment: NodeJS.ProcessEnv = process.env): boolean {
  return stream.isTTY === true && !environment["NO_COLOR"] && environment["TERM"] !== "dumb";
}

/** Functions that colour text, or leave it as it is: see `hasColours`. */
export function colours(stream: { isTTY?: boolean } = process.stdout) {
  return picocolors.createColors(hasColours(stream));
}

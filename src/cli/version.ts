/** The version of the program, which the bundler puts in. */
export const version = typeof COWFS_VERSION === "string" ? COWFS_VERSION : "development";

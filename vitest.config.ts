import { defineConfig } from "vitest/config";

/** How many times as long as usual a test may take. */
const patience = Number(process.env["COWFS_TEST_PATIENCE"] ?? 1);

/** Two rings: `unit` needs no mount; `native` mounts, one file at a time, and must run inside a private mount namespace. */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["src/**/*.test.ts", "scripts/**/*.test.ts"],
          environment: "node",
          pool: "forks",
          testTimeout: 20_000,
        },
      },
      {
        test: {
          name: "native",
          include: ["native-tests/**/*.test.ts"],
          environment: "node",
          pool: "forks",
          fileParallelism: false,
          maxWorkers: 1,
          testTimeout: 300_000 * patience,
          hookTimeout: 120_000 * patience,
        },
      },
    ],
  },
});

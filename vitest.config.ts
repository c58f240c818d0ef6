import { defineConfig } from "vitest/config";

/** Two rings: `unit` needs no mount; `native` mounts, and must run inside a private mount namespace. */
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
          // Much of a file's time is waiting for the disk. Each has a scratch directory of its own, and looks at no other mounts.
          maxWorkers: 2,
          testTimeout: 300_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});

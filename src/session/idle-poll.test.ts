import { expect, test } from "vitest";
import { countCpus } from "./idle-poll.js";

test("CPUs in the kernel's lists", () => {
  expect(["0\n", "0-1\n", "0-3,6,8-9\n"].map(countCpus)).toEqual([1, 2, 7]);
});

import { expect, test } from "vitest";
import { explained, isUnreached } from "./call.js";

const address = { shown: "tcp://localhost:9" };

function failure(syscall: string, code: string): Error {
  return Object.assign(new Error(`${syscall} ${code} ::1:9`), { syscall, code });
}

test("a host of several addresses is not reached if none of them is, and the first one says why", () => {
  const refused = new AggregateError([failure("connect", "ECONNREFUSED"), failure("connect", "ETIMEDOUT")]);
  expect(isUnreached(refused)).toBe(true);
  expect(explained(refused, address)).toBe("nobody listens at tcp://localhost:9");
  const late = new AggregateError([failure("connect", "ETIMEDOUT"), failure("connect", "ECONNREFUSED")]);
  expect(explained(late, address)).toContain("ETIMEDOUT");
});

test("what may have been said to somebody counts as said", () => {
  expect(isUnreached(new AggregateError([failure("connect", "ECONNREFUSED"), failure("read", "ECONNRESET")]))).toBe(
    false,
  );
  expect(isUnreached(new AggregateError([]))).toBe(false);
});

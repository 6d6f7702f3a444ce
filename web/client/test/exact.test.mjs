// Decimals and checksums, which have no floats in them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { checksum, compareDecimals, decimal, isDecimal, isZero } from "../dist/index.js";

test("decimals compare by value, beyond what a number holds", () => {
  const ascending = ["-10.5", "-9.99", "-0.01", "0", "0.000000001", "0.5", "1", "9.99", "10", "10.01", "9007199254740993", "9007199254740994"];
  for (const [i, a] of ascending.entries()) {
    for (const [j, b] of ascending.entries()) assert.equal(Math.sign(compareDecimals(a, b)), Math.sign(i - j), `${a} ${b}`);
  }
  assert.equal(compareDecimals("1.50", "1.5"), 0);
});

test("a mantissa is written with all digits of its exponent", () => {
  for (const [mantissa, exponent, text] of [[18910n, -2, "189.10"], [-5n, -2, "-0.05"], [12n, 2, "1200"], [0n, 2, "0"], [0n, -2, "0.00"], [-(2n ** 63n), 0, "-9223372036854775808"]]) {
    assert.equal(decimal(mantissa, exponent), text);
    assert.ok(isDecimal(text, exponent), text);
  }
  for (const [text, exponent] of [["1.001", -2], ["1.0", -2], ["1", -2], ["1.00", 0], ["", 0], ["-", 0], ["1e5", 0], [".50", -2], ["-.50", -2], ["1,00", -2], ["NaN", 0]]) {
    assert.ok(!isDecimal(text, exponent), text);
  }
  assert.deepEqual(["0", "0.00", "-0.0", "0.01", "10"].map(isZero), [true, true, true, false, false]);
});

test("a book's checksum is CRC32 of the digits of its ten best asks and bids", () => {
  // CRC32 of "123456789" is 0xcbf43926, the check value of every CRC catalogue: asks 1.2 × 3 and 4.5 × 6, bid 0.78 × 9.
  assert.equal(checksum([["0.78", "9"]], [["1.2", "3"], ["4.5", "6"]]), 0xcbf43926);
  assert.equal(checksum([], []), 0);
  const deep = Array.from({ length: 25 }, (_, level) => [String(100 + level), "1"]);
  assert.equal(checksum([], deep), checksum([], deep.slice(0, 10)));
});

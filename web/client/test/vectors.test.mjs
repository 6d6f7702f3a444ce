// The golden vectors of `tickwire.v1.bin`, which the server and the Rust client run too.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { readRecords, RecordError, RecordTopic } from "../dist/index.js";

const vectors = (name) => JSON.parse(readFileSync(new URL(`../../../tests/vectors/${name}.json`, import.meta.url), "utf8"));
const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));

function reader(topics) {
  const followed = new Map(Object.entries(topics).map(([number, topic]) => [Number(number), new RecordTopic(topic)]));
  return (hex) => {
    const messages = [];
    readRecords(bytes(hex), (number) => followed.get(number), ({ message }) => messages.push(message));
    return messages;
  };
}

for (const name of ["quote", "trade", "book", "ticker", "bar", "status"]) {
  for (const { name: what, topic, records, ...answer } of vectors(name).sequences) {
    test(`${name}: ${what}`, () => {
      const read = reader({ [topic]: answer });
      for (const { hex, messages } of records) assert.deepEqual(read(hex), messages, hex);
      const together = reader({ [topic]: answer })(records.map(({ hex }) => hex).join(""));
      assert.deepEqual(together, records.flatMap(({ messages }) => messages), "back to back in one message");
    });
  }
}

test("what is no record is refused where it is wrong", () => {
  const exponents = { price_exponent: 0, size_exponent: 0 };
  const channels = { 0: { channel: "quote" }, 1: { channel: "trade" }, 2: { channel: "book", depth: 10 }, 5: { channel: "ticker" }, 11: { channel: "status" } };
  const topics = Object.fromEntries(Object.entries(channels).map(([number, channel]) => [number, { ...channel, ...exponents }]));
  for (const { hex, offset, fault } of vectors("refused").refused) {
    assert.throws(() => reader(topics)(hex), (error) => {
      assert.ok(error instanceof RecordError, `${hex}: ${error.stack}`);
      assert.deepEqual([error.offset, error.fault], [offset, fault], hex);
      return true;
    });
  }
});

test("the prefix of a snapshot stands before that snapshot", () => {
  const prefix = "03010102"; // topic 0, in place of 2 changes after state 1
  const exponents = { price_exponent: 0, size_exponent: 0 };
  for (const behind of ["", "00010000", "0300010101", "0e0101016500", prefix]) {
    const read = reader({ 0: { channel: "quote", ...exponents }, 3: { channel: "trade", ...exponents } });
    assert.throws(() => read(prefix + behind), /prefix of a snapshot/, behind);
  }
});

test("an update that does not follow changes nothing", () => {
  const [{ topic, records, ...answer }] = vectors("quote").sequences;
  const read = reader({ [topic]: answer });
  read(records[0].hex);
  assert.deepEqual(read(records[2].hex), [null]);
  assert.deepEqual(read(records[1].hex), records[1].messages);
});

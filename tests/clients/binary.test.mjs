// The golden vectors of `tickwire.v1.bin`, read by a client that shares no code with the server.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Client, Missed, RecordError } from "./binary.mjs";

const vectors = (name) => JSON.parse(readFileSync(new URL(`../vectors/${name}.json`, import.meta.url), "utf8"));
const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));

for (const name of ["quote", "trade", "book", "ticker", "bar", "status"]) {
  for (const { name: what, topic, records, ...answer } of vectors(name).sequences) {
    test(`${name}: ${what}`, () => {
      const client = new Client();
      client.follow(topic, answer);
      for (const { hex, messages } of records) assert.deepEqual(client.read(bytes(hex)), messages, hex);

      const all = new Client();
      all.follow(topic, answer);
      const read = all.read(bytes(records.map(({ hex }) => hex).join("")));
      assert.deepEqual(read, records.flatMap(({ messages }) => messages), "back to back in one message");
    });
  }
}

test("what is no record is refused where it is wrong", () => {
  const channels = { 0: { channel: "quote" }, 1: { channel: "trade" }, 2: { channel: "book", depth: 10 }, 5: { channel: "ticker" }, 11: { channel: "status" } };
  for (const { hex, offset, fault } of vectors("refused").refused) {
    const client = new Client();
    for (const [topic, channel] of Object.entries(channels)) client.follow(Number(topic), channel);
    assert.throws(() => client.read(bytes(hex)), (error) => {
      assert.ok(error instanceof RecordError, `${hex}: ${error.stack}`);
      assert.deepEqual([error.offset, error.fault], [offset, fault], hex);
      return true;
    });
  }
});

test("the prefix of a snapshot stands before that snapshot", () => {
  const prefix = "03010102"; // topic 0, in place of 2 changes after state 1
  for (const behind of ["", "00010000", "0300010101", "0e0101016500", prefix]) {
    const client = new Client();
    for (const topic of [0, 3]) client.follow(topic, { channel: topic ? "trade" : "quote", price_exponent: 0, size_exponent: 0 });
    assert.throws(() => client.read(bytes(prefix + behind)), /prefix of a snapshot/, behind);
  }
});

test("an update that was missed shows in the next one", () => {
  const [{ topic, records, ...answer }] = vectors("quote").sequences;
  const client = new Client();
  client.follow(topic, answer);
  client.read(bytes(records[0].hex));
  assert.throws(() => client.read(bytes(records[2].hex)), Missed);
});

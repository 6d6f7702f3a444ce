// The service that a page is of: what it has, and what the test does with it when it is told so.
import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import { rowsUntil, until } from "./browser.mjs";

const lines = createInterface(process.stdin)[Symbol.asyncIterator]();

/** Has the test "kill it" or "start it". */
export async function say(text) {
  console.log(text);
  return (await lines.next()).value;
}

/** Else it would wait for what is not said any more. */
export const done = () => process.stdin.destroy();

/** That the page has, of every instrument, what the service has. */
export async function isRight(page, url, what) {
  const { quotes } = await (await fetch(new URL("v1/quotes", url))).json();
  const expected = Object.fromEntries(quotes.map(({ symbol, bid, ask }) => [symbol, `${bid ?? "–"} ${ask ?? "–"}`]));
  await until(what, async () => {
    const rows = await rowsUntil(page, what, () => true);
    return Object.fromEntries(Object.entries(rows).map(([symbol, cells]) => [symbol, `${cells[3]} ${cells[4]}`]));
  }, (shown) => JSON.stringify(Object.entries(shown).sort()) === JSON.stringify(Object.entries(expected).sort()));
  assert.ok(quotes.length >= 4);
}

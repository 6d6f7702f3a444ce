// Follows a service that is killed and comes back at the same address, when it is told so: node restart.mjs URL CHROMIUM
import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import { figures, live, open, rowsUntil, symbol, until } from "./browser.mjs";

const [url, executablePath] = process.argv.slice(2);
const lines = createInterface(process.stdin)[Symbol.asyncIterator]();
const say = async (text) => {
  console.log(text);
  return (await lines.next()).value;
};

/** That the page has, of every instrument, what the service has. */
async function isRight(page, what) {
  const { quotes } = await (await fetch(new URL("v1/quotes", url))).json();
  const expected = Object.fromEntries(quotes.map(({ symbol, bid, ask }) => [symbol, `${bid ?? "–"} ${ask ?? "–"}`]));
  await until(what, async () => {
    const rows = await rowsUntil(page, what, () => true);
    return Object.fromEntries(Object.entries(rows).map(([symbol, cells]) => [symbol, `${cells[3]} ${cells[4]}`]));
  }, (shown) => JSON.stringify(Object.entries(shown).sort()) === JSON.stringify(Object.entries(expected).sort()));
  assert.ok(quotes.length >= 4);
}

await open(url, executablePath, async (page) => {
  await live(page);
  await isRight(page, "the state before");
  await page.click("#connection");
  const { Epoch: epoch } = await until("an epoch", () => figures(page), ({ Epoch }) => Epoch && Epoch !== "–");
  await say("kill it");
  await page.waitForSelector('#connection:not([data-state="live"])');
  assert.match(await page.textContent("#connection"), /lost|Connecting/);
  await say("start it");
  await live(page);
  await until("another epoch", () => figures(page), ({ Epoch }) => Epoch !== "–" && Epoch !== epoch);
  await isRight(page, "the state of the other recording");
  await until("an instrument of that", () => symbol(page), (symbol) => symbol.includes("-"));
}, { isAllowed: (complaint) => /ERR_CONNECTION|Failed to load resource|WebSocket connection/.test(complaint) });
// Else it would wait for what is not said any more.
process.stdin.destroy();

// Follows a market where no WebSocket is let through, also when the service is killed and comes back: node events.mjs URL CHROMIUM
import assert from "node:assert/strict";
import { figures, isAllTold, live, open, rows, rowsUntil, symbol, table, until } from "./browser.mjs";
import { withoutSockets } from "./proxy.mjs";
import { done, isRight, say } from "./service.mjs";

const [url, executablePath] = process.argv.slice(2);
const proxy = await withoutSockets();
const byEvents = async (page) => {
  await live(page);
  assert.equal((await page.textContent("#connection-text")).trim(), "Live by events");
  await until("the transport", () => figures(page), ({ Transport }) => Transport === "Server-sent events, JSON");
};

/** Its book is there, and near the bid of its row. */
async function hasLadder(page, name) {
  const [, , , bid] = (await rowsUntil(page, "its row", (all) => /\d/.test(all[name]?.[3])))[name];
  const price = (text) => Number(text.replaceAll(",", ""));
  await until(`the book at ${bid}`, () => table(page, "ladder"), (rows) => rows.length > 5 && Math.abs(price(rows[0][1]) / price(bid) - 1) < 0.1);
}

await open(url, executablePath, async (page) => {
  await live(page);
  await page.click("#connection");
  await byEvents(page);
  assert.ok(proxy.refused() > 0, "a socket was asked for first");
  const before = await rowsUntil(page, "quotes", (all) => Object.values(all).some(([last]) => /\d/.test(last)));
  await rowsUntil(page, "prices that move", (all) => Object.entries(all).some(([symbol, cells]) => before[symbol] && cells[0] !== before[symbol][0]));
  const [, , third] = Object.keys(before);
  const box = await page.locator("#watch .window").boundingBox();
  await page.mouse.click(box.x + 60, box.y + 2.5 * 28);
  await until("another instrument", () => symbol(page), (now) => now === third);
  await hasLadder(page, third);
  const ladder = JSON.stringify(await table(page, "ladder"));
  await until("a book that moves", () => table(page, "ladder"), (rows) => JSON.stringify(rows) !== ladder);
  const trades = await until("trades", () => table(page, "tape"), (rows) => rows.length > 0);
  await until("new trades", () => table(page, "tape"), (now) => now[0].join() !== trades[0].join());
  await until("candles", () => page.$eval(".legend", (legend) => legend.textContent), (text) => /O [\d.]+ .*C [\d.]+/.test(text));
  await until("proven books", () => figures(page), ({ Checksums, Gaps }) => /^[1-9][\d,]* agree$/.test(Checksums) && isAllTold(Gaps));
  const { Epoch: epoch } = await figures(page);
  assert.notEqual(epoch, "–");

  await say("kill it");
  await page.waitForSelector('#connection:not([data-state="live"])');
  await say("start it");
  await byEvents(page);
  await until("another epoch", () => figures(page), ({ Epoch }) => Epoch !== "–" && Epoch !== epoch);
  await isRight(page, url, "the state of the other market");
  const others = await rows(page);
  await until("an instrument of that", () => symbol(page), (name) => name in others);
  await hasLadder(page, await symbol(page));
  assert.equal(await page.isVisible("#notice"), false, await page.textContent("#notice-text"));
}, { flags: proxy.flags, isAllowed: (complaint) => /ERR_TUNNEL|ERR_INCOMPLETE|ERR_EMPTY|Failed to load resource|WebSocket connection/.test(complaint) });
proxy.close();
done();

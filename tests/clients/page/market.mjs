// Looks at a market as a person does, with the mouse: node market.mjs URL CHROMIUM
import assert from "node:assert/strict";
import { colours, figures, isAllTold, live, open, rowsUntil, symbol, table, until } from "./browser.mjs";

const [url, executablePath] = process.argv.slice(2);
await open(url, executablePath, async (page) => {
  await live(page);
  const before = await rowsUntil(page, "quotes", (rows) => Object.values(rows).some(([last]) => /\d/.test(last)));
  await rowsUntil(page, "prices that move", (rows) => Object.entries(rows).some(([symbol, cells]) => before[symbol] && cells[0] !== before[symbol][0]));
  assert.ok((await colours(page, "#watch canvas")) > 20, "the watch-list is drawn");

  // The first instrument is open: its chart, book and trades.
  const [first, , third] = Object.keys(before);
  assert.equal(await symbol(page), first);
  for (const panel of ["ladder", "depth", "tape"]) {
    await until(`the ${panel}`, () => table(page, panel), (rows) => rows.length > 1 && rows[0].every((cell) => cell.length > 0));
    assert.ok((await colours(page, `#panel-${panel} canvas`)) > 5, `the ${panel} is drawn`);
  }
  const trades = await table(page, "tape");
  await until("new trades", () => table(page, "tape"), (now) => now[0].join() !== trades[0].join());
  await until("candles", () => page.$eval(".legend", (legend) => legend.textContent), (text) => /O [\d.]+ .*C [\d.]+/.test(text));

  // Another, by a click in the list.
  const box = await page.locator("#watch .window").boundingBox();
  await page.mouse.click(box.x + 60, box.y + 2.5 * 28);
  await until("another instrument", () => symbol(page), (now) => now === third);
  assert.equal(decodeURIComponent(new URL(page.url()).hash.slice(1)), third);
  const quote = (await rowsUntil(page, "its row", (rows) => third in rows))[third];
  const digits = (text) => text.split(".")[1]?.length ?? 0;
  const near = (price) => Math.abs(Number(price) / Number(quote[0]) - 1) < 0.1;
  await until("its book", () => table(page, "ladder"), (rows) => rows.length > 0 && near(rows[0][1]) && digits(rows[0][1]) === digits(quote[0]));

  // Search, and sort.
  await page.fill("#search", first.slice(0, 3).toLowerCase());
  await rowsUntil(page, "what was found", (rows) => Object.keys(rows).length > 0 && Object.keys(rows).every((symbol) => symbol.includes(first.slice(0, 3))));
  await page.fill("#search", "no such symbol");
  await page.waitForSelector(".empty:has-text('No symbol')");
  await page.fill("#search", "");
  await page.click(".column.last button");
  const last = (row) => Number(row[0]);
  await rowsUntil(page, "the dearest first", (rows) => {
    const values = Object.values(rows).map(last);
    return values.length > 5 && values.every((value, at) => at === 0 || values[at - 1] >= value * 0.98);
  });

  // The connection is as it should be, and what is chosen about it holds.
  await page.click("#connection");
  const figure = (name, isRight) => until(name, () => figures(page), (figures) => isRight(figures[name] ?? ""));
  await figure("Checksums", (text) => /^[1-9][\d,]* agree$/.test(text));
  await figure("Gaps", isAllTold);
  await figure("Compression", (text) => Number.parseFloat(text) > 4);
  await figure("Age", (text) => /ms/.test(text));
  await figure("Round trip", (text) => /ms/.test(text));
  await page.click("#panel-connection button:text-is('JSON')");
  await figure("Compression", (text) => text === "–");
  await page.click("#panel-connection button:text-is('1s')");
  await figure("Rate", (text) => text === "at most every 1s");
  await figure("Conflated", (text) => /^[1-9][\d,]* of/.test(text));
  await page.click("#panel-connection button:text-is('raw')");
  await figure("Rate", (text) => text === "every change");
  // A tab that nobody sees asks for less.
  await page.evaluate(() => {
    Object.defineProperty(document, "hidden", { value: true, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  });
  await figure("Rate", (text) => text === "at most every 1s");
  await page.evaluate(() => {
    delete document.hidden;
    document.dispatchEvent(new Event("visibilitychange"));
  });
  await figure("Rate", (text) => text === "every change");

  // What the user laid out is there again, and another tab shares the connection.
  await page.click("#panel-depth .more");
  await page.click("#menu-depth button:text-is('Hide')");
  await page.click("button[popovertarget=panels]");
  assert.equal(await page.locator("#panels label:has-text('Depth') input").isChecked(), false);
  await page.keyboard.press("Escape");
  const order = (page) => page.$$eval(".panel", (panels) => panels.map(({ id }) => id));
  await page.click("#panel-tape .more");
  await page.click("#menu-tape button:text-is('Move up')");
  const laidOut = await order(page);
  assert.ok(laidOut.indexOf("panel-tape") < laidOut.indexOf("panel-ladder") && !laidOut.includes("panel-depth"), laidOut.join());
  const handle = await page.locator("#panel-tape .handle").boundingBox();
  const list = await page.locator("#panel-watch").boundingBox();
  await page.mouse.move(handle.x + 30, handle.y + 10);
  await page.mouse.down();
  await page.mouse.move(list.x + list.width / 2, list.y + list.height - 60, { steps: 6 });
  await page.mouse.up();
  assert.equal((await order(page)).slice(0, 2).join(), "panel-watch,panel-tape", "a panel that was dragged is where it was let go");
  const other = await page.context().newPage();
  await other.goto(url);
  await live(other);
  assert.deepEqual(await order(other), await order(page));
  await until("two pages", () => figures(page), ({ Pages }) => Pages === "2 share it");
  await rowsUntil(other, "quotes in the other", (rows) => Object.values(rows).some(([last]) => /\d/.test(last)));
  await other.close();
  await until("one page", () => figures(page), ({ Pages }) => Pages === "this one");
});

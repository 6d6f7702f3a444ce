// Uses the page without a mouse: node keyboard.mjs URL CHROMIUM
import assert from "node:assert/strict";
import { live, open, rowsUntil, symbol, until } from "./browser.mjs";

const [url, executablePath] = process.argv.slice(2);
await open(url, executablePath, async (page) => {
  await live(page);
  const list = Object.keys(await rowsUntil(page, "quotes", (rows) => Object.keys(rows).length > 10));
  const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.textContent);
  const active = () => page.evaluate(() => document.getElementById(document.activeElement.getAttribute("aria-activedescendant"))?.children[0].textContent);

  await page.keyboard.press("1");
  assert.equal(await focused(), "watch");
  for (let step = 0; step < 3; step += 1) await page.keyboard.press("ArrowDown");
  await until("three further", () => symbol(page), (now) => now === list[3]);
  assert.equal(await active(), list[3], "a screen reader is told");
  await page.keyboard.press("End");
  await until("the last", () => symbol(page), (now) => now > list.at(-1));
  await page.keyboard.press("Home");
  await until("the first", () => symbol(page), (now) => now === list[0]);

  await page.keyboard.press("/");
  assert.equal(await focused(), "search");
  await page.keyboard.type(list[5].toLowerCase());
  await page.keyboard.press("Enter");
  await until("what was searched", () => symbol(page), (now) => now === list[5]);
  assert.equal(await focused(), "watch");
  await page.keyboard.press("/");
  await page.keyboard.press("Escape");
  assert.equal(await page.inputValue("#search"), "");

  // To the buttons of a head, of a panel and of a menu by Tab alone.
  const tabTo = async (what, isThere) => {
    for (let step = 0; step < 60; step += 1) {
      await page.keyboard.press("Tab");
      if (await page.evaluate(isThere)) return;
    }
    throw new Error(`Tab does not lead to ${what}`);
  };
  await tabTo("the head of the column", () => document.activeElement.matches(".column.last button"));
  await page.keyboard.press("Enter");
  assert.equal(await page.getAttribute(".column.last", "aria-sort"), "descending");
  await tabTo("the line between columns", () => document.activeElement.matches(".splitter.vertical"));
  const width = (await page.locator("#panel-watch").boundingBox()).width;
  for (let step = 0; step < 5; step += 1) await page.keyboard.press("ArrowRight");
  assert.ok((await page.locator("#panel-watch").boundingBox()).width > width + 20);
  await tabTo("the interval", () => document.activeElement.matches("#panel-chart .choice button"));
  await tabTo("the panel's menu", () => document.activeElement.matches("#panel-chart .more"));
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.activeElement.matches("#menu-chart:popover-open button"));
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  const isAtTheRight = () => page.$eval("#panel-chart", (panel) => panel.parentElement === document.querySelector(".stack:last-of-type"));
  await until("the chart in the last column", isAtTheRight, (is) => is);

  // Help, and keys that can be switched off.
  await page.keyboard.press("?");
  await page.waitForSelector("#help[open]");
  await page.keyboard.press("Space");
  await page.keyboard.press("Escape");
  await page.keyboard.press("/");
  assert.notEqual(await focused(), "search");
});

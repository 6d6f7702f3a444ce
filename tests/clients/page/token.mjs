// Says who it is when the page asks: node token.mjs URL CHROMIUM KEY
import assert from "node:assert/strict";
import { live, open, rowsUntil } from "./browser.mjs";

const [url, executablePath, key] = process.argv.slice(2);
await open(url, executablePath, async (page) => {
  await page.waitForSelector("#notice:has-text('asks who you are')");
  assert.equal(await page.textContent(".empty"), "Waiting for the first quotes …");
  await page.click("#connection");
  await page.getByLabel("Token or API key").fill(key);
  await page.click("#panel-connection form button");
  await live(page);
  await rowsUntil(page, "quotes", (rows) => Object.keys(rows).length === 3 && Object.values(rows).every((cells) => /\d/.test(cells[3])));
  await page.waitForSelector("#notice", { state: "hidden" });
  assert.ok(!(await page.evaluate(() => JSON.stringify(localStorage))).includes(key), "it is kept nowhere");
});

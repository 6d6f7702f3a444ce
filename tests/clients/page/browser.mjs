// The page in Chromium, and what it tells.
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
/** How long anything may take. Only failures wait so long. */
const PATIENCE_MS = 60_000;

/** Opens `url` and hands the page over; whatever it complains of fails at the end, but for what `isAllowed` lets pass. */
export async function open(url, executablePath, look, { flags = [], isAllowed = () => false, ...context } = {}) {
  const browser = await chromium.launch({ executablePath, args: [...FLAGS, ...flags] });
  const complaints = [];
  try {
    const page = await (await browser.newContext({ viewport: { width: 1440, height: 900 }, ...context })).newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    page.on("console", (message) => message.type() === "error" && !isAllowed(message.text()) && complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(String(error)));
    await page.goto(url);
    await look(page, browser);
    assert.deepEqual(complaints, []);
  } catch (error) {
    if (complaints.length > 0) console.error("the page complains:", complaints);
    throw error;
  } finally {
    await browser.close();
  }
}

export const live = (page) => page.waitForSelector('#connection[data-state="live"]');

/** The rows of the watch-list in sight, as a screen reader has them: symbol → its cells. */
export const rows = (page) =>
  page.$$eval("#watch .unseen [role=row]", (rows) => Object.fromEntries(rows.map((row) => [row.children[0].textContent, [...row.children].slice(1).map((cell) => cell.textContent)])));

/** Waits until the rows are as `isRight` wants them, and returns them. */
export async function rowsUntil(page, what, isRight) {
  return until(what, () => rows(page), isRight);
}

export async function until(what, get, isRight) {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const value = await get();
    if (isRight(value)) return value;
    if (Date.now() > end) throw new Error(`not in time: ${what}; at last ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The rows of a panel's table, as a screen reader has them. */
export const table = (page, panel) => page.$$eval(`#panel-${panel} table.unseen tbody tr`, (rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent)));

/** How many colours a canvas has: one that is not drawn has one. */
export const colours = (page, selector) =>
  page.$eval(selector, (canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return new Set(new Uint32Array(data.buffer)).size;
  });

/** The figures of the connection panel, by name. */
export const figures = (page) => page.$$eval("#panel-connection dl > div", (rows) => Object.fromEntries(rows.map((row) => [row.children[0].textContent, row.children[1].textContent])));

/** A service that cannot keep its pace tells of trades that are lost; none may be missing that it did not tell of. */
export const isAllTold = (gaps) => /^(none|0 found, .* 0 asked anew)$/.test(gaps);

export const symbol = (page) => page.$eval(".headline .symbol", (element) => element.textContent);

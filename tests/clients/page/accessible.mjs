// What axe finds in the page: node accessible.mjs URL CHROMIUM
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { live, open, rowsUntil } from "./browser.mjs";

const [url, executablePath] = process.argv.slice(2);
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

async function check(page, where) {
  const { violations, passes } = await page.evaluate(() => globalThis.axe.run());
  const faults = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  assert.deepEqual(faults.map(({ id, nodes }) => `${where}: ${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join("; ")}`), []);
  assert.ok(passes.length > 15, `${where}: ${passes.length} rules apply`);
}

for (const colorScheme of ["light", "dark"]) {
  await open(url, executablePath, async (page) => {
    await live(page);
    await rowsUntil(page, "quotes", (rows) => Object.keys(rows).length > 10);
    // Into the page's world by the debugger, which its policy does not bind.
    await page.evaluate(axe);
    await page.click("#connection");
    await check(page, `${colorScheme}, on a desk`);
    await page.click("#panel-watch .more");
    await check(page, `${colorScheme}, a menu`);
    await page.keyboard.press("Escape");
    await page.keyboard.press("?");
    await check(page, `${colorScheme}, the help`);
    await page.keyboard.press("Escape");
    await page.setViewportSize({ width: 390, height: 844 });
    for (const panel of await page.$$eval("#tabs button", (tabs) => tabs.map(({ dataset }) => dataset.panel))) {
      await page.click(`#tabs [data-panel=${panel}]`);
      await check(page, `${colorScheme}, ${panel} on a phone`);
    }
    const isWider = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
    assert.ok(!isWider, "nothing is wider than a phone");
  }, { colorScheme, reducedMotion: "reduce" });
}

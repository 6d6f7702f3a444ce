// Follows a recording to its end: node replay.mjs URL CHROMIUM DAY
import assert from "node:assert/strict";
import { live, open, rowsUntil, until } from "./browser.mjs";

const [url, executablePath, day] = process.argv.slice(2);
await open(url, executablePath, async (page) => {
  await live(page);
  const bar = () => page.textContent("#replay");
  const text = await until("a replay that runs", bar, (text) => text.includes("as fast as it was"));
  assert.ok(text.startsWith("Replay of a recording") && text.includes(day), text);
  const time = (text) => text.match(/\d\d:\d\d:\d\d/)[0];
  await until("its time to go on", bar, (now) => time(now) > time(text));
  const before = await rowsUntil(page, "quotes", (rows) => Object.keys(rows).length > 0);
  await rowsUntil(page, "prices that move", (rows) => JSON.stringify(rows) !== JSON.stringify(before));
  await until("its end", bar, (text) => text.startsWith("The recording has ended"));
  await rowsUntil(page, "the last state", (rows) => Object.values(rows).every((cells) => cells.at(-1) === "ended"));
  assert.ok(await page.isVisible("#replay"));
});

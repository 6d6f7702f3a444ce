// Follows a service that is killed and comes back at the same address, when it is told so: node restart.mjs URL CHROMIUM
import assert from "node:assert/strict";
import { figures, live, open, symbol, until } from "./browser.mjs";
import { done, isRight, say } from "./service.mjs";

const [url, executablePath] = process.argv.slice(2);

await open(url, executablePath, async (page) => {
  await live(page);
  await isRight(page, url, "the state before");
  await page.click("#connection");
  const { Epoch: epoch } = await until("an epoch", () => figures(page), ({ Epoch }) => Epoch && Epoch !== "–");
  await say("kill it");
  await page.waitForSelector('#connection:not([data-state="live"])');
  assert.match(await page.textContent("#connection"), /lost|Connecting/);
  await say("start it");
  await live(page);
  await until("another epoch", () => figures(page), ({ Epoch }) => Epoch !== "–" && Epoch !== epoch);
  await isRight(page, url, "the state of the other recording");
  await until("an instrument of that", () => symbol(page), (symbol) => symbol.includes("-"));
}, { isAllowed: (complaint) => /ERR_CONNECTION|Failed to load resource|WebSocket connection/.test(complaint) });
done();
